package azurepg

import (
	"errors"
	"fmt"
	"strings"
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
	{"token has expired", "try again in half a minute; if it goes on, check the clock of this machine"},
	{"valid audience", "the token is for another service: leave azure_scope out, and check azure_cloud"},
	{"invalid format", "the server could not read the token"},
	{"oid mismatch", "the role was made for another principal of that name: drop it and make it anew with pgaadauth_create_principal"},
	{"neither an aad_auth_tokentype_app_user", "the role is of a user, but the token is of an application or managed identity: set user to the role of that"},
	{"cannot generate aad_auth_tokentype_app_user", "the role is of an application or managed identity, but the token is of a person: leave user out to log in as yourself, or set it to your own role"},
	{"no pg_hba.conf entry", "the server does not accept this address: add it to the firewall rules, or connect from the server's network"},
	{"pg_hba.conf rejects", "the server does not accept this address: add it to the firewall rules, or connect from the server's network"},
}

func newAuthError(user string, server sqlStateError, err error, token string, sent bool) *AuthError {
	e := &AuthError{User: user, SQLState: server.SQLState(), server: quoteForeign(server.Error()), sent: sent, err: err}
	c, _ := readClaims(token)
	e.Principal = c.describe()
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
