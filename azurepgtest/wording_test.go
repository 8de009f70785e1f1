package azurepgtest_test

import (
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestServersWordTheSameRefusalInTwoWays(t *testing.T) {
	s := shared
	app, other := s.AddServicePrincipal("wording"), s.AddServicePrincipal("wording's other")
	user := s.AddUser("wording@contoso.com")
	mint := func(p *azurepgtest.Principal, o azurepgtest.MintOptions) string { return s.Entra.Mint(p, &o) }
	const noUserToken = " is neither an AAD_AUTH_TOKENTYPE_APP_USER or an AAD_AUTH_TOKENTYPE_APP_OBO token."
	const invalid = "The access token has invalid format. Please ensure the token is passed exactly as returned by the authentication endpoint and retry."
	const audience = `The access token does not have a valid audience claim. Please acquire a new token for the resource "https://ossrdbms-aad.database.windows.net".`
	tests := []struct{ name, role, token, old, renewed string }{
		{"expired", "wording", mint(app, azurepgtest.MintOptions{Expires: time.Now()}),
			"The access token has expired. Please acquire a new token and retry.", "The access token has expired. Acquire a new token and try again."},
		{"no token", "wording", "x", invalid, invalid},
		{"audience", "wording", mint(app, azurepgtest.MintOptions{Audience: "https://vault.azure.net"}), audience, audience},
		{"application for user", user.Name, mint(app, azurepgtest.MintOptions{}),
			"Azure AD user token for role[wording@contoso.com]" + noUserToken, `Microsoft Entra user token for role "wording@contoso.com"` + noUserToken},
		{"user for application", "wording", mint(user, azurepgtest.MintOptions{}),
			"Service Principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role[wording]", `Service principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role "wording".`},
		{"other application", "wording", mint(other, azurepgtest.MintOptions{}),
			"Service Principal oid mismatch for role[wording]", `Service principal oid mismatch for role "The oid in the security label [` + app.ObjectID +
				`] does not match the appid [` + other.ClientID + `] or oid [` + other.ObjectID + `] in the token."`},
		{"no role", "nobody", mint(app, azurepgtest.MintOptions{}), `password authentication failed for user "nobody"`, `password authentication failed for user "nobody"`},
	}
	defer s.Postgres.SetWording(azurepgtest.OldWording)
	for _, tt := range tests {
		for wording, want := range map[azurepgtest.Wording]string{azurepgtest.OldWording: tt.old, azurepgtest.NewWording: tt.renewed} {
			s.Postgres.SetWording(wording)
			_, err := login(t.Context(), s.Postgres, tt.role, tt.token)
			if got := pgError(t, err).Message; got != want {
				t.Errorf("%s, wording %q: got %s; want %s", tt.name, wording, got, want)
			}
		}
	}
}
