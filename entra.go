package azurepg

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

var (
	aadsts    = pattern{expr: `AADSTS[0-9]{2,10}`}
	guid      = pattern{expr: `^` + guidPattern + `$`}
	requestID = pattern{expr: `(?i)\b(trace|correlation) id: (` + guidPattern + `)`}
	oauth     = pattern{expr: `^[a-z_]{1,40}$`} // an OAuth 2.0 error code
)

const guidPattern = `[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`

// explain turns a credential's error into a TokenError, taking from a
// response only codes, ids and times, never its words.
func (s *tokenSource) explain(ctx context.Context, err error) error {
	var known *TokenError
	if errors.As(err, &known) { // of a TokenCache that serves as credential
		return known
	}
	if ctx.Err() != nil { // azidentity's error does not unwrap to it
		return s.timeoutError()
	}
	e := &TokenError{Credential: s.name}
	text := s.withoutSecrets(err.Error())
	if resp := failedResponse(err); resp != nil {
		e.readResponse(resp)
	} else {
		e.readText(text)
	}
	if list := chainOf(text); list != nil {
		e.explainChain(list)
		return e
	}
	e.explainOne(text)
	return e
}

// readResponse takes what a TokenError keeps of a response.
func (e *TokenError) readResponse(resp *http.Response) {
	e.StatusCode = resp.StatusCode
	e.RetryAfter = retryAfter(resp.Header, time.Now())
	e.Temporary = isForNow(resp.StatusCode)
	body, _ := azruntime.Payload(resp)
	var said struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		TraceID       string `json:"trace_id"`
		CorrelationID string `json:"correlation_id"`
	}
	_ = json.Unmarshal(body, &said) // what is no JSON says nothing
	e.Code = aadsts.regexp().FindString(said.Description)
	e.TraceID, e.CorrelationID = onlyGUID(said.TraceID), onlyGUID(said.CorrelationID)
	e.detail = "the service refused"
	if oauth.regexp().MatchString(said.Error) {
		e.detail = "the service answered " + said.Error
	}
}

// isForNow reports whether an HTTP status means that trying again can help.
func isForNow(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

func onlyGUID(s string) string {
	if guid.regexp().MatchString(s) {
		return s
	}
	return ""
}

// readText takes Entra's code and ids from the words of a tool, which repeats
// what Entra told it.
func (e *TokenError) readText(text string) {
	if e.Code = aadsts.regexp().FindString(text); e.Code == "" {
		return
	}
	for _, id := range requestID.regexp().FindAllStringSubmatch(text, -1) {
		if strings.EqualFold(id[1], "trace") {
			e.TraceID = id[2]
		} else {
			e.CorrelationID = id[2]
		}
	}
}

// explainOne explains the error of a single credential.
func (e *TokenError) explainOne(text string) {
	if e.Code != "" {
		e.explainCode()
		return
	}
	f := credentialFaultOf(e.Credential, e.StatusCode, text)
	switch {
	case e.StatusCode == 0 && f.means != "":
		e.detail = f.means + ": " + quoteForeign(withoutBody(text))
	case e.StatusCode == 0:
		e.detail = quoteForeign(withoutBody(text))
	case f.means != "":
		e.detail = f.means
	}
	e.Advice = f.advice
	e.Temporary = e.Temporary || f.retry
}

func (e *TokenError) explainCode() {
	code, known := entraCodes[e.Code]
	if !known {
		code.advice = "look up the code in Microsoft Entra's list of error codes"
	}
	e.detail = codeWords(e.Code)
	e.Advice = code.advice
	e.Temporary = e.Temporary || code.retry
}

// codeWords is a code and, if it is known, what it means.
func codeWords(code string) string {
	if means := entraCodes[code].means; means != "" {
		return code + ": " + means
	}
	return code
}

// scrub makes the words of a credential's error fit to print.
func (s *tokenSource) scrub(text string) string {
	text = s.withoutSecrets(text)
	return quoteForeign(withoutBody(text))
}

// withoutSecrets returns text without the secrets that azurepg knows.
func (s *tokenSource) withoutSecrets(text string) string {
	secrets := []string{os.Getenv("AZURE_CLIENT_SECRET"), os.Getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD")}
	if s.config != nil {
		secrets = append(secrets, string(s.config.ClientSecret), string(s.config.ClientCertificatePassword))
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, redacted)
		}
	}
	return text
}

// bodyMarks are the words after which azidentity and MSAL quote a response,
// which can be anything, a token among it.
// Source: managed_identity_client.go of azidentity 1.15, comm.go of MSAL 1.10.
var bodyMarks = []string{"raw message was:", "json message bytes were:", "The endpoint responded with", "unexpected response"}

func withoutBody(text string) string {
	for _, mark := range bodyMarks {
		if before, _, found := strings.Cut(text, mark); found {
			text = strings.TrimRight(before, " :.") + " (the answer is left out)"
		}
	}
	return text
}

// retryAfter reads the headers in which Azure services say how long to wait.
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if n, err := strconv.Atoi(h.Get(name)); err == nil && n > 0 {
			return time.Duration(n) * time.Millisecond
		}
	}
	if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n > 0 && n < 1e9 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(h.Get("Retry-After")); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}
