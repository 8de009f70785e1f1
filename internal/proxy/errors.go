package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/internal/hostlist"
)

// SQLSTATEs of what the proxy itself says.
// Source: PostgreSQL documentation, Appendix A, read 2026-11.
const (
	codeProtocol      = "08P01" // protocol_violation
	codeUnsupported   = "0A000" // feature_not_supported
	codeNoConnection  = "08001" // sqlclient_unable_to_establish_sqlconnection
	codeInvalidValue  = "22023" // invalid_parameter_value
	codeNoLogin       = "28000" // invalid_authorization_specification
	codeNoDatabase    = "3D000" // invalid_catalog_name
	codeTooMany       = "53300" // too_many_connections
	codeShutdown      = "57P01" // admin_shutdown
	codeCannotConnect = "57P03" // cannot_connect_now
	codeIdle          = "57P05" // idle_session_timeout
)

// reply is an ErrorResponse that ends a client's connection.
type reply struct{ pgproto3.ErrorResponse }

// answer is what the proxy has to say by itself.
func answer(code, format string, args ...any) *reply {
	return &reply{pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: fmt.Sprintf(format, args...)}}
}

func (r *reply) Error() string { return r.Message }

// NoOtherHost says that what is wrong with the client's own packet is so at every host.
func (r *reply) NoOtherHost() bool { return true }

// replyTo says to the client why it is not logged in. What the server said is passed on
// in its own words, and what azurepg knows about it is added.
func replyTo(err error) *reply {
	var own *reply
	if errors.As(err, &own) {
		return own
	}
	var failed *hostlist.Failed
	if errors.As(err, &failed) {
		return failedReply(failed, err)
	}
	r := answer(codeNoConnection, "azurepg proxy: %s", strings.TrimPrefix(err.Error(), "azurepg: "))
	var token *azurepg.TokenError
	switch {
	case errors.As(err, &token) && token.Temporary:
		r.Code = codeCannotConnect
	case token != nil, errors.As(err, new(*azurepg.DSNError)):
		r.Code = codeNoLogin
	}
	return r
}

// failedReply says why no host would do. err is what the Connector has made of failed.
func failedReply(failed *hostlist.Failed, err error) *reply {
	r := answer(codeNoConnection, "azurepg proxy: no connection to %s", failed)
	if server := saidLast(failed); server != nil {
		r = &reply{server.response}
		r.Severity, r.SeverityUnlocalized = "FATAL", "FATAL"
	}
	r.Hint = joined(r.Hint, azurepg.Advice(err))
	if failed.PasswordSent() {
		r.Detail = joined(r.Detail, whose(err))
	}
	return r
}

// saidLast returns the server's words, if one said any: of several hosts those of the
// last, after which no other was asked if they are a refusal.
func saidLast(failed *hostlist.Failed) (server *serverError) {
	for _, one := range slices.Backward(failed.Unwrap()) {
		if errors.As(one, &server) {
			return server
		}
	}
	return nil
}

// whose says whose token was refused.
func whose(err error) string {
	var auth *azurepg.AuthError
	if !errors.As(err, &auth) {
		return ""
	}
	text := "The token is of " + auth.Principal
	if auth.Retried {
		text += "; a new token was refused as well"
	}
	return text + "."
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n" + b
}

// serverError is a server's ErrorResponse during a login.
type serverError struct{ response pgproto3.ErrorResponse }

// newServerError reads an ErrorResponse in which the token may stand: a server can repeat
// what it was sent.
func newServerError(body []byte, token string) error {
	e := new(serverError)
	if err := e.response.Decode(body); err != nil {
		return errNoMessage
	}
	r := &e.response
	for _, text := range []*string{&r.Severity, &r.SeverityUnlocalized, &r.Code, &r.Message, &r.Detail, &r.Hint, &r.InternalQuery, &r.Where,
		&r.SchemaName, &r.TableName, &r.ColumnName, &r.DataTypeName, &r.ConstraintName, &r.File, &r.Routine} {
		*text = clean(*text, token)
	}
	r.UnknownFields = nil
	return e
}

// clean takes the token and other secrets out of a text.
func clean(text, token string) string {
	if token != "" {
		text = strings.ReplaceAll(text, token, "[redacted]")
	}
	return azurepg.Redact(text)
}

// SQLState returns the server's code.
func (e *serverError) SQLState() string { return e.response.Code }

// Error returns what the server said.
func (e *serverError) Error() string {
	return fmt.Sprintf("%s: %s (SQLSTATE %s)", e.response.Severity, e.response.Message, e.response.Code)
}

// cut returns s, some 60 bytes of it at most: names that clients choose.
func cut(s string) string {
	const limit = 63 // bytes: NAMEDATALEN-1 of PostgreSQL
	if len(s) <= limit {
		return s
	}
	n := limit
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
