package azurepgtest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestPasswordRoleIsAskedByItsMethod(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	const password = `hunter2 'quo''ted' \back`
	methods := map[azurepgtest.AuthMethod]string{ // and what libpq's require_auth calls it
		azurepgtest.SCRAM: "scram-sha-256", azurepgtest.MD5: "md5", azurepgtest.Cleartext: "password", azurepgtest.Trust: "none",
	}
	for method, name := range methods {
		// The role of the row before too: added again it is asked by the new method.
		for _, role := range []string{"one", `role "of" ` + name} {
			if err := s.Postgres.AddPasswordRole(t.Context(), role, password, method); err != nil {
				t.Fatal(err)
			}
			logins, refusals := s.Postgres.Logins(), s.Postgres.Refusals()
			for _, required := range methods {
				conn, err := loginWith(t.Context(), s.Postgres, role, password, func(c *pgx.ConnConfig) { c.RequireAuth = required })
				if err == nil {
					var user string
					if err := conn.QueryRow(t.Context(), "select session_user").Scan(&user); err != nil || user != role {
						t.Errorf("%s: logged in as %q, %v; want %q", method, user, err, role)
					}
					conn.Close(context.Background())
				}
				if (err == nil) != (required == name) {
					t.Errorf("%s: a client that requires %s: %v", method, required, err)
				}
			}
			if got := s.Postgres.Logins() - logins; got < 1 {
				t.Errorf("%s: %d logins are counted; want one at least", method, got)
			}
			_, err := login(t.Context(), s.Postgres, role, "hunter3")
			if method == azurepgtest.Trust {
				if err != nil {
					t.Errorf("%s: %v", method, err)
				}
				continue
			}
			if got := pgError(t, err); got.Code != "28P01" || !strings.HasPrefix(got.Message, "password authentication failed for user") {
				t.Errorf("%s, wrong password: got %s %s", method, got.Code, got.Message)
			}
			if got := s.Postgres.Refusals() - refusals; got != 1 {
				t.Errorf("%s: %d refusals are counted; want 1", method, got)
			}
		}
	}
}

func TestPasswordRolesHaveTheSameFront(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	for _, method := range []azurepgtest.AuthMethod{azurepgtest.SCRAM, azurepgtest.Trust} {
		role := string(method)
		if err := s.Postgres.AddPasswordRole(t.Context(), role, "hunter2", method); err != nil {
			t.Fatal(err)
		}
		_, err := loginWith(t.Context(), s.Postgres, role, "hunter2", func(c *pgx.ConnConfig) { c.TLSConfig = nil })
		if got := pgError(t, err); got.Code != "28000" || !strings.HasSuffix(got.Message, "no encryption") {
			t.Errorf("%s in plaintext: got %s %s", role, got.Code, got.Message)
		}
		_, err = loginWith(t.Context(), s.Postgres, role, "hunter2", func(c *pgx.ConnConfig) { c.Database = "missing" })
		if got := pgError(t, err); got.Code != "3D000" || s.Postgres.LastRefusal() != got.Message {
			t.Errorf("%s, missing database: got %s %s, refusal %s", role, got.Code, got.Message, s.Postgres.LastRefusal())
		}
		s.Postgres.RejectBefore(true)
		_, err = login(t.Context(), s.Postgres, role, "hunter2")
		if got := pgError(t, err); got.Code != "28000" {
			t.Errorf("%s after RejectBefore: got %s %s", role, got.Code, got.Message)
		}
		s.Postgres.RejectBefore(false)
		conn, err := loginWith(t.Context(), s.Postgres, role, "hunter2", func(c *pgx.ConnConfig) { c.MaxProtocolVersion = "3.2" })
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if err := conn.PgConn().CancelRequest(t.Context()); err != nil { // it has the real key
			t.Error(err)
		}
		if got := s.Postgres.Connections(); got != 1 {
			t.Errorf("Connections() = %d; want 1", got)
		}
		conn.Close(context.Background())
		within(t, 10*time.Second, "end of the session", func() bool { return s.Postgres.Connections() == 0 })
	}
}

func TestRolesOfTwoKindsAreKeptApart(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	ctx := t.Context()
	if err := s.Postgres.AddPasswordRole(ctx, "other", "hunter2", azurepgtest.SCRAM); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		got  error
		want string
	}{
		{"a principal's", s.Postgres.AddPasswordRole(ctx, "app", "hunter2", azurepgtest.SCRAM), `role "app" is a principal's`},
		{"superuser", s.Postgres.AddPasswordRole(ctx, "postgres", "hunter2", azurepgtest.SCRAM), `role "postgres" is the superuser's`},
		{"no method", s.Postgres.AddPasswordRole(ctx, "new", "hunter2", ""), `role "new": unknown method ""`},
		{"unknown method", s.Postgres.AddPasswordRole(ctx, "new", "hunter2", "gss"), `role "new": unknown method "gss"`},
		{"no password", s.Postgres.AddPasswordRole(ctx, "new", "", azurepgtest.MD5), `role "new": the password is empty`},
		{"no name", s.Postgres.AddPasswordRole(ctx, "", "hunter2", azurepgtest.MD5), `role "": PostgreSQL's names have 1 to 63 bytes`},
		{"one with a password", s.Postgres.AddRole(ctx, "other", app), `role "other" is one of AddPasswordRole`},
	} {
		if tt.got == nil || tt.got.Error() != "azurepgtest: "+tt.want {
			t.Errorf("%s: got %v; want %s", tt.name, tt.got, tt.want)
		}
	}
	// A token opens no password role, nor a password a principal's.
	if _, err := login(ctx, s.Postgres, "other", s.Entra.Mint(app, nil)); err == nil {
		t.Error("logged in to a password role with a token")
	}
	if _, err := login(ctx, s.Postgres, "app", "hunter2"); err == nil {
		t.Error("logged in to a principal's role with a password")
	}
}
