package azurepg

import (
	"strings"
	"testing"
)

// serverError is a refusal in a server's words.
type serverError string

func (e serverError) Error() string    { return "FATAL: " + string(e) + " (SQLSTATE 28P01)" }
func (e serverError) SQLState() string { return "28P01" }

func TestAdviceFitsTheServersWords(t *testing.T) {
	token := fakeJWT(`{"idtyp":"app","appid":"the-app","oid":"the-oid","tid":"the-tenant"}`)
	for _, row := range []struct{ words, advice string }{
		{"The access token has expired. Please acquire a new token and retry.", "clock"},
		{"The access token has expired. Acquire a new token and try again.", "clock"},
		{"The access token does not have a valid audience claim. Acquire a new token and retry.", "azure_scope"},
		{"The access token has invalid format. Acquire a new token and retry.", "could not read the token"},
		{"Service Principal oid mismatch for role[X]", "pgaadauth_create_principal"},
		{"Azure AD user token for role[X] is neither an AAD_AUTH_TOKENTYPE_APP_USER or an AAD_AUTH_TOKENTYPE_APP_OBO token.", "the role is of a user, but the token is of an application"},
		{"Service Principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role[X]", "the role is of an application or managed identity, but the token is of a person"},
		{`no pg_hba.conf entry for host "192.0.2.1", user "X", database "Y", SSL encryption`, "firewall"},
		{`password authentication failed for user "X"`, "pgaadauth_list_principals"},
		{"something never seen before", "pgaadauth_list_principals"},
	} {
		t.Run(row.words, func(t *testing.T) {
			err := newAuthError("X", serverError(row.words), serverError(row.words), token, true)
			if !strings.Contains(err.Advice, row.advice) {
				t.Errorf("advice %q; want %q in it", err.Advice, row.advice)
			}
			text := err.Error()
			for _, part := range []string{`role "X"`, "SQLSTATE 28P01", "the-app", "the-oid", err.Advice} {
				if !strings.Contains(text, part) {
					t.Errorf("%s\nlacks %s", text, part)
				}
			}
			if strings.Contains(text, "\n") || strings.Contains(text, token) {
				t.Errorf("%q is more than a line, or holds the token", text)
			}
		})
	}
}

// Every code that azurepg knows has a meaning and, unless waiting helps, advice.
func TestEveryKnownEntraCodeIsExplained(t *testing.T) {
	for code, known := range entraCodes {
		if !aadsts.MatchString(code) || known.means == "" || known.advice == "" && !known.retry {
			t.Errorf("%s: %+v", code, known)
		}
	}
}
