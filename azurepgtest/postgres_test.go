package azurepgtest_test

import (
	"errors"
	"testing"

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
