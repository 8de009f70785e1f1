package azurepg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// tokenSource calls one credential. It is kept behind a pointer, since it can
// hold secrets.
type tokenSource struct {
	name   string
	config *Config // to build the credential anew; nil: it came from code

	mu         sync.Mutex // guards credential
	credential azcore.TokenCredential
}

// get fetches a token. With rebuild it makes a new credential first, which
// reads files and environment again and has an empty cache of its own.
func (s *tokenSource) get(ctx context.Context, scope string, rebuild bool) (token azcore.AccessToken, err error) {
	defer func() {
		if p := recover(); p != nil { // in a goroutine of ours nobody else could
			err = &TokenError{Credential: s.name, detail: "it panicked: " + quoteForeign(fmt.Sprint(p))}
		}
	}()
	credential, err := s.current(rebuild)
	if err != nil {
		return azcore.AccessToken{}, &TokenError{Credential: s.name, detail: strings.TrimPrefix(err.Error(), "azurepg: "), cause: err}
	}
	token, err = credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return azcore.AccessToken{}, s.explain(ctx, err)
	}
	return token, nil
}

func (s *tokenSource) current(rebuild bool) (azcore.TokenCredential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rebuild && s.config != nil {
		c, err := newCredential(s.config)
		if err != nil {
			return nil, err
		}
		s.credential = c
	}
	if s.credential == nil {
		return nil, errors.New("azurepg: there is no credential")
	}
	return s.credential, nil
}

var (
	aadsts = regexp.MustCompile(`AADSTS[0-9]{2,10}`)
	guid   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	oauth  = regexp.MustCompile(`^[a-z_]{1,40}$`) // an OAuth 2.0 error code

	// networkFault finds the words of a broken connection or answer in the text of an error that
	// does not unwrap.
	networkFault = regexp.MustCompile(`json decode error|dial tcp|no such host|i/o timeout|connection re(set|fused)|\bEOF\b`)
)

// explain turns a credential's error into a TokenError, taking from a
// response only codes, ids and times, never its words.
func (s *tokenSource) explain(ctx context.Context, err error) error {
	var known *TokenError
	if errors.As(err, &known) { // of a TokenCache that serves as credential
		mine := *known
		mine.same = false
		return &mine
	}
	e := &TokenError{Credential: s.name}
	if ctx.Err() != nil {
		// azidentity's error does not unwrap to that of its context.
		e.cause, e.detail, e.Temporary = ctx.Err(), "no answer in time", true
		return e
	}
	resp := failedResponse(err)
	if resp == nil {
		e.detail = s.scrub(err.Error())
		e.Temporary = networkFault.MatchString(err.Error())
		e.Advice = toolAdvice(s.name, err.Error())
		return e
	}
	e.StatusCode = resp.StatusCode
	e.RetryAfter = retryAfter(resp.Header, time.Now())
	e.Temporary = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode >= 500
	body, _ := azruntime.Payload(resp)
	var said struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		CorrelationID string `json:"correlation_id"`
	}
	_ = json.Unmarshal(body, &said) // what is no JSON says nothing
	e.Code = aadsts.FindString(said.Description)
	if guid.MatchString(said.CorrelationID) {
		e.CorrelationID = said.CorrelationID
	}
	code := entraCodes[e.Code]
	e.Temporary = e.Temporary || code.retry
	e.Advice = code.advice
	switch {
	case code.means != "":
		e.detail = e.Code + ": " + code.means
	case e.Code != "":
		e.detail = e.Code
		e.Advice = "look up the code in Microsoft Entra's list of error codes"
	case oauth.MatchString(said.Error):
		e.detail = "the service answered " + said.Error
	default:
		e.detail = "the service refused"
	}
	if s.name == credentialManaged && resp.StatusCode == http.StatusBadRequest {
		e.Advice = "check that this identity is assigned to the machine, app or pod, and azure_client_id if set"
	}
	return e
}

// scrub makes the words of a credential's error fit to print. A chain's list of
// attempts is kept, each cut on its own.
func (s *tokenSource) scrub(text string) string {
	text, _, _ = strings.Cut(text, "raw message was:") // and then comes the token
	if s.config != nil {
		for _, secret := range []Secret{s.config.ClientSecret, s.config.ClientCertificatePassword} {
			if secret != "" {
				text = strings.ReplaceAll(text, string(secret), redacted)
			}
		}
	}
	if v := os.Getenv("AZURE_CLIENT_SECRET"); v != "" {
		text = strings.ReplaceAll(text, v, redacted)
	}
	_, list, chain := strings.Cut(text, "Attempted credentials:")
	if !chain {
		return quoteForeign(text)
	}
	var attempts []string
	for _, line := range strings.Split(list, "\n\t") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "To troubleshoot") {
			attempts = append(attempts, quoteForeign(line))
		}
	}
	return "every credential of the chain failed: " + strings.Join(attempts, "; ")
}

// toolAdvice is for the failures of command-line tools, which have no codes.
func toolAdvice(credential, text string) string {
	switch {
	case strings.Contains(text, "az login"):
		return "run az login"
	case credential == credentialAzureCLI && strings.Contains(text, "not found on path"):
		return "install the Azure CLI, or name another azure_credential"
	case credential == credentialDefault:
		return "name the azure_credential that is meant to work here, and its error says more"
	}
	return ""
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
