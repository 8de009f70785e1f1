package azurepg

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/azurepg/azurepg/internal/hostlist"
)

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

const (
	protocolViolation = "08P01"
	invalidPassword   = "28P01"
)

// findRefusal walks the tree of err for a refusal, where errors.As would stop at the
// first code.
func findRefusal(err error) sqlStateError {
	if e, ok := err.(sqlStateError); ok && hostlist.IsRefusal(e.SQLState(), e.Error()) {
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

// failedLogin is a login that failed, and what is known of it on this side.
type failedLogin struct {
	cfg    *Config
	scope  string // what the token was asked for
	user   string
	length int // of the token, in bytes
	claims claims
	state  string // SQLSTATE; empty: the server gave none
	words  string // of the error, in lower case
	now    time.Time
}

func (c *Connector) failedLogin(login Login, err error) *failedLogin {
	f := newFailedLogin(c.cfg, err)
	f.scope, f.user, f.length = c.tokens.scope, login.User, len(login.Password)
	f.claims, _ = readClaims(string(login.Password))
	return f
}

func newFailedLogin(cfg *Config, err error) *failedLogin {
	f := &failedLogin{cfg: cfg, words: strings.ToLower(err.Error()), now: time.Now()}
	var server sqlStateError
	if errors.As(err, &server) {
		f.state = server.SQLState()
		if f.state == protocolViolation && hostlist.IsRefusal(f.state, f.words) {
			f.state = invalidPassword // which PgBouncer means
		}
	}
	return f
}

// newAuthError explains what server says about f. err is the base driver's error
// around it.
func newAuthError(f *failedLogin, server sqlStateError, err error, sent bool) *AuthError {
	return &AuthError{User: f.user, SQLState: server.SQLState(), Principal: f.claims.describe(), Advice: f.explain(),
		server: quoteForeign(server.Error()), sent: sent, err: err}
}

// loginError is a base driver's error with an explanation around it, of a login
// that failed for another reason than the token or the role.
type loginError struct {
	text   string
	advice string
	err    error
}

func (e *loginError) Error() string { return e.text }
func (e *loginError) Unwrap() error { return e.err }

// explainLogin returns err with what is known about it, or as it is. An error of
// TLS has its explanation already.
func explainLogin(f *failedLogin, err error) error {
	var tls *tlsError
	advice := f.explain()
	if advice == "" || errors.As(err, &tls) {
		return err
	}
	text := "azurepg: the base driver could not connect: " + quoteForeign(err.Error())
	if _, ours := err.(*pgxError); ours { // one safe line
		text = err.Error()
	}
	return &loginError{text + ": " + advice, advice, err}
}

// explain returns cause and advice of the first row that fits, or "".
func (f *failedLogin) explain() string {
	if row := f.fault(); row != nil {
		return row.text(f.facts())
	}
	return ""
}

func (f *failedLogin) fault() *loginFault {
	for i := range loginFaults {
		if row := &loginFaults[i]; row.fits(f) {
			return row
		}
	}
	return nil
}

// facts are what explanations of a login can name.
func (f *failedLogin) facts() map[string]string {
	c := f.claims
	oid := "<object id>"
	if guid.regexp().MatchString(c.ObjectID) {
		oid = c.ObjectID
	}
	audience, tenant := "another service", "an unknown one"
	if len(c.Audience) > 0 {
		audience = quoteForeign(strings.Join(c.Audience, " "))
	}
	if c.TenantID != "" {
		tenant = quoteForeign(c.TenantID)
	}
	return map[string]string{
		"role": sqlLiteral(f.user), "rolename": sqlName(f.user), "database": sqlName(f.database()),
		"oid": oid, "type": c.roleType(), "name": quoteForeign(c.userName()),
		"audience": audience, "scope": quoteForeign(f.scope), "tenant": tenant, "length": strconv.Itoa(f.length),
		"ago": span(f.now.Sub(c.Expires.Time())), "left": span(c.Expires.Time().Sub(f.now)), "early": span(c.NotBefore.Time().Sub(f.now)),
	}
}

func (f *failedLogin) database() string {
	if f.cfg.Database == "" {
		return f.user
	}
	return f.cfg.Database
}

func span(d time.Duration) string { return d.Round(time.Second).String() }

const listPrincipals = "`select * from pgaadauth_list_principals(false)` in database postgres"

// noUserError is for a token whose claims do not say a role name.
func noUserError(c claims) error {
	hint := "the token is of " + c.describe()
	return &DSNError{Key: "user", Err: fmt.Errorf(
		"the token does not say the role's name, set user (%s): %s lists the roles of principals",
		hint, listPrincipals)}
}
