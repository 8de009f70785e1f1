package azurepg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/azurepg/azurepg/internal/explain"
)

// ErrPasswordInDSN says that a DSN or service file holds a password, which
// azurepg never sends.
var ErrPasswordInDSN = errors.New("a password is given, but azurepg logs in with Entra tokens only: remove it")

// ErrInsecureTLS says that a setting would send the token without TLS or
// without the verification that azurepg insists on.
var ErrInsecureTLS = errors.New("a token is only ever sent inside TLS, to a server verified as sslmode demands")

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
	// CorrelationID finds the request in Entra's sign-in logs, TraceID lets
	// Microsoft's support find it. Empty: none.
	CorrelationID, TraceID string
	// StatusCode is the HTTP status of the answer. Zero: there was no answer.
	StatusCode int
	// RetryAfter is what the service asked to wait. Zero: it did not say.
	RetryAfter time.Duration
	// Temporary reports whether trying again later can help without anybody
	// changing anything.
	Temporary bool
	// Advice says what to do, in one sentence. It may be empty.
	Advice string
	// Attempts are what the credentials of a chain said, in their order, each with
	// its name. Nil: it was no chain.
	Attempts []string

	detail string // what happened, safe to print
	cause  error  // safe to unwrap: of a context, or a *DSNError
}

// noTokenFrom stands before the credential's name in the text of a TokenError. Redact
// knows it: client_secret is the name of a credential there, and what follows no secret.
const noTokenFrom = "no token from credential "

// Error returns one line: the credential, what happened, what to do.
func (e *TokenError) Error() string {
	return "azurepg: " + noTokenFrom + e.Credential + ": " + e.what()
}

// what is the text of e without its beginning, for a log line that names the
// credential by itself.
func (e *TokenError) what() string {
	var b strings.Builder
	b.WriteString(e.detail)
	var facts []string
	if e.StatusCode != 0 {
		facts = append(facts, fmt.Sprintf("HTTP %d", e.StatusCode))
	}
	if e.TraceID != "" {
		facts = append(facts, "trace id "+e.TraceID)
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

// What a credential can return that is no token to log in with.
var (
	tokenEmpty   = explanation{says: "an empty token", means: "it returned an empty token", advice: "look at the credential that Config has, or at the tool that was asked"}
	tokenBroken  = explanation{says: "white space or control characters", means: "it returned a token with white space or control characters in it", advice: "return the token alone, without \"Bearer\" or a line end"}
	tokenExpired = explanation{says: "already expired", means: "it returned a token that has already expired", advice: "set this machine's clock, by NTP, or look for a cache in the credential that keeps tokens too long"}
	tokenForeign = explanation{says: "a token for another service", means: "it returned a token for another service, audience {audience}, scope {scope}", advice: "let the credential honour the scope that it is asked for, and leave azure_scope out"}
)

func badTokenError(credential string, what explanation, facts map[string]string) error {
	return &TokenError{Credential: credential, detail: explain.Fill(what.means, facts), Advice: what.advice}
}

// isFinal reports whether err says that another token is not to be had.
func isFinal(err error) bool {
	var none *noNewToken
	return errors.As(err, &none) && none.final
}

// waitError is for a caller whose ctx ended before the token came.
func waitError(ctx context.Context, credential string) error {
	cause := ctx.Err()
	if c := context.Cause(ctx); c != cause {
		cause = errors.Join(cause, c)
	}
	detail := "the caller's context has ended (" + ctx.Err().Error() + ")"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		detail = "the caller's context ended before the token came (" + ctx.Err().Error() + "); a login without a cached token takes longer"
	}
	return &TokenError{Credential: credential, Temporary: true, cause: cause, detail: detail}
}

// noNewToken is why there is no other token than the one in use, though
// nothing failed.
type noNewToken struct {
	reason string
	final  bool // another try before the normal refresh would not help either
}

func (e *noNewToken) Error() string { return "azurepg: no new token: " + e.reason }

var (
	errSameToken = &noNewToken{"the credential returned the same one again (Azure keeps that of a managed identity for up to a day)", true}
	errHopeless  = &noNewToken{"one did not help before", true}
	errForced    = &noNewToken{"another refusal has asked for one shortly before", false}
)

// AuthError says that the server refused the login.
type AuthError struct {
	// User is the role that was asked for.
	User string
	// SQLState is the server's code, of class 28, or PgBouncer's 08P01. Other codes, such
	// as 53300 (no connection left), stay in the base driver's error.
	SQLState string
	// Principal says whose token was sent, from its claims, which are not
	// verified: names and ids for a person to read.
	Principal string
	// Retried reports whether a second, newer token was refused too.
	Retried bool
	// Advice says what is the matter, as far as the server's words and the token's
	// claims tell, and what to do, in one sentence.
	Advice string

	server  string // the server's words, quoted
	sent    bool   // the token had been sent
	err     error  // of the base driver
	noToken error  // why there was no newer token; nil: there was, or none was wanted
}

// Error returns one line: role, the server's words, what to do, whose token it was.
func (e *AuthError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "azurepg: the server refused the login as role %s: %s", quoteForeign(e.User), e.server)
	if e.Advice != "" {
		b.WriteString(": " + e.Advice)
	}
	b.WriteString(" (the token is of " + e.Principal)
	switch {
	case !e.sent:
		b.WriteString(", and was not sent")
	case e.Retried:
		b.WriteString("; a new token was refused as well")
	case e.noToken != nil:
		b.WriteString("; " + strings.TrimPrefix(e.noToken.Error(), "azurepg: "))
	}
	return b.String() + ")"
}

// Unwrap returns the base driver's error, in which errors.As finds the server's
// (*pgconn.PgError, *pq.Error), and the *TokenError if a newer token was asked
// for and could not be had.
func (e *AuthError) Unwrap() []error {
	var te *TokenError
	if errors.As(e.noToken, &te) {
		return []error{e.err, te}
	}
	return []error{e.err}
}
