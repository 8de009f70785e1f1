package azurepg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrPasswordInDSN says that a DSN or service file holds a password, which
// azurepg never sends.
var ErrPasswordInDSN = errors.New("a password is given, but azurepg logs in with Entra tokens only: remove it")

// ErrInsecureTLS says that a setting would send the token without TLS or
// without the verification that azurepg insists on.
var ErrInsecureTLS = errors.New("azurepg sends tokens over verified TLS only")

// DSNError is a setting that azurepg cannot work with. Its text names the key,
// never the value.
type DSNError struct {
	// Key is the DSN key or environment variable that is at fault, "DSN" if it
	// is the text as a whole.
	Key string
	// Err says what is wrong and what to do.
	Err error
}

// Error returns one line that names the key.
func (e *DSNError) Error() string { return "azurepg: " + e.Key + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *DSNError) Unwrap() error { return e.Err }

// TokenError says that there is no token to log in with. It never holds the
// service's answer itself, which may repeat a secret: only the codes in it.
type TokenError struct {
	// Credential is the credential that was asked, as in azure_credential, or
	// the type of a Credential from code.
	Credential string
	// Code is Entra's error code, such as "AADSTS7000215". Empty: it gave none.
	Code string
	// CorrelationID finds the request in Entra's sign-in logs. Empty: none.
	CorrelationID string
	// StatusCode is the HTTP status of the answer. Zero: there was no answer.
	StatusCode int
	// RetryAfter is what the service asked to wait. Zero: it did not say.
	RetryAfter time.Duration
	// Temporary reports whether trying again later can help without anybody
	// changing anything.
	Temporary bool
	// Advice says what to do, in one sentence. It may be empty.
	Advice string

	detail string // what happened, safe to print
	cause  error  // safe to unwrap: of a context, or a *DSNError
	same   bool   // the credential returned the token that is already in use
}

// Error returns one line: the credential, what happened, what to do.
func (e *TokenError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "azurepg: no token from credential %s: ", e.Credential)
	b.WriteString(e.detail)
	var facts []string
	if e.StatusCode != 0 {
		facts = append(facts, fmt.Sprintf("HTTP %d", e.StatusCode))
	}
	if e.CorrelationID != "" {
		facts = append(facts, "correlation id "+e.CorrelationID)
	}
	if len(facts) > 0 {
		b.WriteString(" (" + strings.Join(facts, ", ") + ")")
	}
	if e.Advice != "" {
		b.WriteString(": " + e.Advice)
	}
	return b.String()
}

// Unwrap returns the cause of a context that ended, a *DSNError, or nil. The
// credential's own error is not reachable: it can hold the request and with it
// the client secret.
func (e *TokenError) Unwrap() error { return e.cause }

// staleCredential reports whether the credential itself is out of date, so that
// reading secret or certificate anew may help.
func (e *TokenError) staleCredential() bool {
	return entraCodes[e.Code].reread
}

func badTokenError(credential, what string) error {
	return &TokenError{Credential: credential, detail: "it returned " + what}
}

// hopelessError is for a refusal that a new token will not cure: that was tried.
func hopelessError(credential string) error {
	return &TokenError{Credential: credential, same: true,
		detail: "none is asked for again, since after an earlier refusal there was no other, or that was refused too"}
}

func sameTokenError(credential string) error {
	e := &TokenError{Credential: credential, detail: "it has returned the same token again", Temporary: true, same: true}
	if credential == credentialManaged {
		e.Advice = "Azure keeps the token of a managed identity for up to a day"
	}
	return e
}

// forcedError is for a refusal too soon after another one.
func forcedError(credential string) error {
	return &TokenError{Credential: credential, Temporary: true,
		detail: fmt.Sprintf("a refusal has forced a new token less than %v ago", forceInterval)}
}

func isSameToken(err error) bool {
	var te *TokenError
	return errors.As(err, &te) && te.same
}

func timeoutError(credential string, limit time.Duration) error {
	return &TokenError{
		Credential: credential, Temporary: true, cause: context.DeadlineExceeded,
		detail: fmt.Sprintf("no answer within %v (azure_token_timeout)", limit),
	}
}

// waitError is for a caller whose ctx ended before the token came.
func waitError(ctx context.Context, credential string) error {
	cause := ctx.Err()
	if c := context.Cause(ctx); c != cause {
		cause = errors.Join(cause, c)
	}
	return &TokenError{
		Credential: credential, Temporary: true, cause: cause,
		detail: "it had not answered when the caller's time was up (" + ctx.Err().Error() + ")",
	}
}

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

// AuthError says that the server refused the login.
type AuthError struct {
	// User is the role that was asked for.
	User string
	// SQLState is the server's code, of class 28.
	SQLState string
	// Principal says whose token was sent, from its claims, which are not
	// verified: names and ids for a person to read.
	Principal string
	// Retried reports whether a second, newer token was refused too.
	Retried bool
	// Advice says what to do, in one sentence.
	Advice string

	server string // the server's words, quoted
	sent   bool   // the token had been sent
	err    error  // of the base driver
	token  error  // why there was no newer token; nil: there was, or none was asked for
}

// Error returns one line: role, the server's words, whose token it was, what to do.
func (e *AuthError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "azurepg: the server refused the login as role %s: %s; the token is of %s", quoteForeign(e.User), e.server, e.Principal)
	if e.Retried {
		b.WriteString("; a new token was refused as well")
	}
	if e.token != nil {
		b.WriteString("; no new token could be had: " + strings.TrimPrefix(e.token.Error(), "azurepg: "))
	}
	if e.Advice != "" {
		b.WriteString(": " + e.Advice)
	}
	return b.String()
}

// Unwrap returns the base driver's error, in which errors.As finds the server's
// (*pgconn.PgError, *pq.Error), and the *TokenError if a newer token was wanted
// and could not be had.
func (e *AuthError) Unwrap() []error {
	if e.token != nil {
		return []error{e.err, e.token}
	}
	return []error{e.err}
}

// sqlStateError is how PostgreSQL drivers' errors show what the server said.
type sqlStateError interface {
	error
	SQLState() string
}

// refusal returns the server's refusal in err, if there is one, and whether the
// password, the token, had been sent. Of several hosts' errors any may be it.
func refusal(err error) (server sqlStateError, sent bool) {
	if server = findRefusal(err); server == nil {
		return nil, false
	}
	var asked interface{ PasswordSent() bool }
	return server, !errors.As(err, &asked) || asked.PasswordSent()
}

// findRefusal walks the tree of err for a code of class 28, where errors.As
// would stop at the first code.
func findRefusal(err error) sqlStateError {
	if e, ok := err.(sqlStateError); ok && strings.HasPrefix(e.SQLState(), "28") {
		return e
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return findRefusal(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if found := findRefusal(err); found != nil {
				return found
			}
		}
	}
	return nil
}

const listPrincipals = "select * from pgaadauth_list_principals(false) in database postgres"

// refusalAdvice: the first row whose words the server used. The words are the
// server's own, as seen in the wild; their SQLSTATE is not documented.
var refusalAdvice = []struct{ words, advice string }{
	{"token has expired", "check the clock of this machine"},
	{"valid audience", "the token is for another service: leave azure_scope out, and check azure_cloud"},
	{"invalid format", "the server could not read the token"},
	{"oid mismatch", "the role was made for another principal of that name: drop it and make it anew with pgaadauth_create_principal"},
	{"neither an aad_auth_tokentype_app_user", "the role is of a user, but the token is of an application or managed identity: set user to the role of that"},
	{"cannot generate aad_auth_tokentype_app_user", "the role is of a user, but the token is of an application or managed identity: set user to the role of that"},
	{"no pg_hba.conf entry", "the server does not accept this address: add it to the firewall rules, or connect from the server's network"},
	{"pg_hba.conf rejects", "the server does not accept this address: add it to the firewall rules, or connect from the server's network"},
}

func newAuthError(user string, server sqlStateError, err error, token string, sent bool) *AuthError {
	e := &AuthError{User: user, SQLState: server.SQLState(), server: quoteForeign(server.Error()), sent: sent, err: err}
	c, _ := readClaims(token)
	e.Principal = c.describe()
	if !sent {
		e.Principal += ", which was not sent"
	}
	words := strings.ToLower(server.Error())
	for _, row := range refusalAdvice {
		if strings.Contains(words, row.words) {
			e.Advice = row.advice
			return e
		}
	}
	e.Advice = "check that the role exists, is spelt exactly so and belongs to this principal: " + listPrincipals
	return e
}

// noUserError is for a token whose claims do not say a role name.
func noUserError(c claims) error {
	hint := "the token is of " + c.describe()
	return &DSNError{Key: "user", Err: fmt.Errorf(
		"the token does not say the role's name, set user (%s): %s lists the roles, %s those that exist",
		hint, listPrincipals, "select rolname from pg_roles")}
}
