package azurepg

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

var (
	aadsts = regexp.MustCompile(`AADSTS[0-9]{2,10}`)
	guid   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	oauth  = regexp.MustCompile(`^[a-z_]{1,40}$`) // an OAuth 2.0 error code

	// networkFault finds the words of a broken connection or answer in the text of
	// an error that does not unwrap.
	networkFault = regexp.MustCompile(`json decode error|dial tcp|no such host|i/o timeout|connection re(set|fused)|\bEOF\b`)
)

// entraCode is what azurepg knows about one of Entra's error codes.
type entraCode struct {
	means  string
	advice string
	reread bool // a new secret or certificate may already be on disk or in the environment
	retry  bool
}

// Source: Microsoft Entra authentication and authorization error codes,
// learn.microsoft.com/entra/identity-platform/reference-error-codes, read 2026-11.
var entraCodes = map[string]entraCode{
	"AADSTS7000215": {means: "invalid client secret", advice: "check that azure_client_secret (or AZURE_CLIENT_SECRET) is the secret's value and not its id", reread: true},
	"AADSTS7000222": {means: "the client secret has expired", advice: "create a new client secret for the application and deploy it", reread: true},
	"AADSTS700027":  {means: "the certificate's signature was refused", advice: "upload the certificate to the application registration, or deploy the one that is registered", reread: true},
	"AADSTS700016":  {means: "the application is unknown in this tenant", advice: "check azure_client_id and azure_tenant_id (or AZURE_CLIENT_ID and AZURE_TENANT_ID)"},
	"AADSTS90002":   {means: "the tenant is unknown", advice: "check azure_tenant_id (or AZURE_TENANT_ID) and azure_cloud"},
	"AADSTS900023":  {means: "the tenant id is malformed", advice: "check azure_tenant_id (or AZURE_TENANT_ID)"},
	"AADSTS500011":  {means: "the database service is unknown in this tenant", advice: "check azure_scope and azure_cloud"},
	"AADSTS1002012": {means: "the scope is malformed", advice: "it must end in /.default: leave azure_scope out"},
	"AADSTS70011":   {means: "the scope is malformed", advice: "it must end in /.default: leave azure_scope out"},
	"AADSTS50076":   {means: "multi-factor authentication is demanded", advice: "log in anew with the tool, for example az login, or use a service principal or managed identity"},
	"AADSTS50079":   {means: "multi-factor authentication must be set up", advice: "log in interactively once, or use a service principal or managed identity"},
	"AADSTS530003":  {means: "a Conditional Access policy refuses this device", advice: "use a compliant device, a service principal or a managed identity"},
	"AADSTS53003":   {means: "a Conditional Access policy refuses the login", advice: "ask the tenant's administrator which policy it is"},
	"AADSTS700021":  {means: "the federated token was issued for another application", advice: "check azure_client_id against the federated credential"},
	"AADSTS700024":  {means: "the federated token has expired or is not yet valid", advice: "check the clock, and that the token file is being renewed", reread: true},
	"AADSTS70021":   {means: "no federated credential matches the token", advice: "compare issuer, subject and audience of the federated credential with the service account"},
	"AADSTS700211":  {means: "no federated credential matches the token's issuer", advice: "set the federated credential's issuer to the cluster's OIDC issuer URL"},
	"AADSTS700212":  {means: "no federated credential matches the token's audience", advice: "set the federated credential's audience to api://AzureADTokenExchange"},
	"AADSTS700213":  {means: "no federated credential matches the token's subject", advice: "set the federated credential's subject to system:serviceaccount:<namespace>:<name>"},
	"AADSTS90033":   {means: "a temporary fault in Entra", retry: true},
	"AADSTS50196":   {means: "too many identical requests", advice: "look for a program that fetches tokens in a loop", retry: true},
}

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
	list := attempts(s.withoutSecrets(err.Error()))
	switch {
	case code.means != "":
		e.detail = e.Code + ": " + code.means
	case e.Code != "":
		e.detail = e.Code
		e.Advice = "look up the code in Microsoft Entra's list of error codes"
	case list != "":
		e.detail = list
		e.Advice = chainAdvice
	case oauth.MatchString(said.Error):
		e.detail = "the service answered " + said.Error
	default:
		e.detail = "the service refused"
	}
	if s.name == credentialManaged && resp.StatusCode == http.StatusBadRequest {
		e.Advice = noIdentityAdvice
	}
	return e
}

// scrub makes the words of a credential's error fit to print.
func (s *tokenSource) scrub(text string) string {
	text = s.withoutSecrets(text)
	if list := attempts(text); list != "" {
		return list
	}
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

// attempts returns what each credential of a chain said, in one line, or "" if
// text is not of a chain. azidentity writes an attempt as a line behind one tab;
// lines behind two go on with it, and can be a response's body.
func attempts(text string) string {
	_, list, chain := strings.Cut(text, "Attempted credentials:")
	if !chain {
		return ""
	}
	var said []string
	for _, line := range strings.Split(list, "\n\t") {
		if strings.HasPrefix(line, "\t") || strings.TrimSpace(line) == "" || strings.HasPrefix(line, "To troubleshoot") {
			continue
		}
		line, _, _ = strings.Cut(line, "\n") // azidentity's own advice after the last one
		said = append(said, quoteForeign(withoutBody(line)))
	}
	return "no credential of the chain got one: " + strings.Join(said, "; ")
}

const noIdentityAdvice = "check that this identity is assigned to the machine, app or pod, and azure_client_id if it is user-assigned"

const chainAdvice = "set azure_credential to the one that is meant to work here, and its error says more; on a developer's machine run az login"

// toolAdvice is for failures without a response, which have no codes.
func toolAdvice(credential, text string) string {
	switch {
	case strings.Contains(text, "Attempted credentials:"):
		return chainAdvice
	case strings.Contains(text, "system assigned identity"):
		return noIdentityAdvice
	case strings.Contains(text, "az login"):
		return "run az login"
	case strings.Contains(text, "json decode error"):
		return "the answer was not Entra's: look for a proxy or a login page in the network"
	case !strings.Contains(text, "not found on path"):
		return ""
	case credential == credentialAzureDeveloper:
		return "install the Azure Developer CLI, or name another azure_credential"
	case credential == credentialAzurePowerShell:
		return "install PowerShell with the Az module, or name another azure_credential"
	}
	return "install the Azure CLI, or name another azure_credential"
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
