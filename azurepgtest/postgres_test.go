package azurepgtest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/azurepg/azurepg/azurepgtest"
)

// pgError returns the server's error, or fails.
func pgError(t *testing.T, err error) *pgconn.PgError {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Fatalf("got %v; want an error of the server", err)
	}
	return pg
}

func TestRoleNamesOfAllShapesLogIn(t *testing.T) {
	t.Parallel()
	s := shared
	for _, p := range []*azurepgtest.Principal{
		s.AddServicePrincipal(`my app`),
		s.AddServicePrincipal(`sp_user@db`),
		s.AddServicePrincipal(`O'Brien "x" \ / % ;`),
		s.AddServicePrincipal(`Größe 漢字`),
		s.AddUser("alice@contoso.com"),
		s.AddUser("bob_fabrikam.com#EXT#@contoso.onmicrosoft.com"),
		s.AddManagedIdentity("identity"),
		s.AddSystemIdentity("vm"),
	} {
		if got := currentUser(t, s.Postgres, p.Name, s.Entra.Mint(p, nil)); got != p.Name {
			t.Errorf("logged in as %q; want %q", got, p.Name)
		}
	}
}

func TestGroupIsForItsMembers(t *testing.T) {
	t.Parallel()
	member, user, other := shared.AddServicePrincipal("member"), shared.AddUser("member@contoso.com"), shared.AddServicePrincipal("no member")
	group := shared.AddGroup("my group", member, user)
	for _, p := range []*azurepgtest.Principal{member, user} {
		if got := currentUser(t, shared.Postgres, group.Name, shared.Entra.Mint(p, nil)); got != group.Name {
			t.Errorf("logged in as %q; want %q", got, group.Name)
		}
	}
	_, err := login(t.Context(), shared.Postgres, group.Name, shared.Entra.Mint(other, nil))
	if got := pgError(t, err); got.Message != `password authentication failed for user "my group"` {
		t.Errorf("got %q", got.Message)
	}
}

func TestPostgresRefusesWhatAzureRefuses(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app, other, user := s.AddServicePrincipal("app"), s.AddServicePrincipal("other"), s.AddUser("alice@contoso.com")
	good := s.Entra.Mint(app, nil)
	revoked := s.Entra.Mint(app, nil)
	s.Entra.Revoke(revoked)
	parts := strings.Split(good, ".")
	mint := func(p *azurepgtest.Principal, o azurepgtest.MintOptions) string { return s.Entra.Mint(p, &o) }
	otherPayload := strings.Split(s.Entra.Mint(other, nil), ".")[1]
	const audience = "The access token does not have a valid audience claim."
	const format = "The access token has invalid format."
	tests := []struct {
		name, role, token string
		message, reason   string
	}{
		{"expired", "app", mint(app, azurepgtest.MintOptions{Expires: time.Now().Add(-time.Second)}), "The access token has expired.", "expired"},
		{"without exp", "app", mint(app, azurepgtest.MintOptions{Claims: map[string]any{"exp": nil}}), "The access token has expired.", "expired"},
		{"not valid yet", "app", mint(app, azurepgtest.MintOptions{NotBefore: time.Now().Add(time.Minute)}), format, "not valid yet"},
		{"forged", "app", mint(app, azurepgtest.MintOptions{Forged: true}), format, "signature not by the current key"},
		{"altered", "app", parts[0] + "." + otherPayload + "." + parts[2], format, "signature not by the current key"},
		{"unsigned", "app", "eyJhbGciOiJub25lIn0." + parts[1] + ".", format, "signature not by the current key"},
		{"truncated", "app", good[:len(good)-1], format, "not a token"},
		{"garbage", "app", "hunter2", format, "not a token"},
		{"empty", "app", "", format, "not a token"},
		{"with Bearer", "app", "Bearer " + good, format, "not a token"},
		{"other audience", "app", mint(app, azurepgtest.MintOptions{Audience: "https://vault.azure.net"}), audience, "wrong audience"},
		{"double slash", "app", mint(app, azurepgtest.MintOptions{Audience: "https://ossrdbms-aad.database.windows.net/"}), audience, "wrong audience"},
		{"other cloud", "app", mint(app, azurepgtest.MintOptions{Audience: "https://ossrdbms-aad.database.chinacloudapi.cn"}), audience, "wrong audience"},
		{"other tenant", "app", mint(app, azurepgtest.MintOptions{TenantID: "11111111-2222-4333-8444-555555555555"}), format, "another tenant"},
		{"revoked", "app", revoked, "The access token has expired.", "revoked"},
		{"other application", "other", good, "Service Principal oid mismatch for role[other]", "token of another application"},
		{"application for user", "alice@contoso.com", good, "Azure AD user token for role[alice@contoso.com] is neither", "token of an application for the role of a user"},
		{"user for application", "app", mint(user, azurepgtest.MintOptions{}), "Service Principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role[app]", "token of a user for the role of an application"},
		{"no role", "nobody", good, `password authentication failed for user "nobody"`, "no such role, or it is no principal's"},
		{"superuser", "postgres", good, `password authentication failed for user "postgres"`, "no such role, or it is no principal's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := login(t.Context(), s.Postgres, tt.role, tt.token)
			got := pgError(t, err)
			if got.Code != "28P01" || got.Severity != "FATAL" || !strings.HasPrefix(got.Message, tt.message) {
				t.Errorf("got %s %s %s; want FATAL 28P01 %s", got.Severity, got.Code, got.Message, tt.message)
			}
			if got := s.Postgres.LastRefusal(); got != tt.reason {
				t.Errorf("LastRefusal() = %q; want %q", got, tt.reason)
			}
			assertNoToken(t, s, err.Error())
		})
	}
	if got := s.Postgres.Refusals(); got != len(tests) {
		t.Errorf("Refusals() = %d; want %d", got, len(tests))
	}

	s.Postgres.SetRefusal("28000")
	_, err := login(t.Context(), s.Postgres, "app", "x")
	if got := pgError(t, err); got.Code != "28000" {
		t.Errorf("after SetRefusal: got %s; want 28000", got.Code)
	}
	s.Postgres.SetRefusal("")

	if got := currentUser(t, s.Postgres, "app", good); got != "app" {
		t.Errorf("logged in as %q; want app", got)
	}
	s.Entra.RevokeTokens()
	if _, err := login(t.Context(), s.Postgres, "app", good); err == nil {
		t.Error("after RevokeTokens: logged in")
	}
	currentUser(t, s.Postgres, "app", s.Entra.Mint(app, nil))

	if got := s.Postgres.Logins(); got != 2 {
		t.Errorf("Logins() = %d; want 2", got)
	}

	old := s.Entra.Mint(app, nil)
	if err := s.Entra.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if _, err := login(t.Context(), s.Postgres, "app", old); err == nil {
		t.Error("after RotateKeys: logged in with an old token")
	}
	currentUser(t, s.Postgres, "app", s.Entra.Mint(app, nil))

	s.Postgres.RejectBefore(true)
	_, err = login(t.Context(), s.Postgres, "app", s.Entra.Mint(app, nil))
	if got := pgError(t, err); got.Code != "28000" || !strings.HasPrefix(got.Message, "no pg_hba.conf entry") {
		t.Errorf("after RejectBefore: got %s %s", got.Code, got.Message)
	}
}

func TestTooLongPasswordIsRefusedAndTheLongestIsNot(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("long")
	_, err := login(t.Context(), shared.Postgres, app.Name, strings.Repeat("x", 65535))
	if got := pgError(t, err); got.Code != "08P01" {
		t.Errorf("got %s %s; want 08P01", got.Code, got.Message)
	}
	token := shared.Entra.Mint(app, &azurepgtest.MintOptions{Claims: map[string]any{"groups": strings.Repeat("x", 45000)}})
	if len(token) < 60000 || len(token) > 65534 {
		t.Fatalf("the token has %d characters; want one that just fits", len(token))
	}
	currentUser(t, shared.Postgres, app.Name, token)
}
