package azurepg_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// What befalls a role or a token, and what that costs: each pool has a login refused, and
// the pools of one identity share the token requests.
func TestWhatBefallsARoleCostsAtMostOneForcedFetch(t *testing.T) {
	noAzure(t)
	for _, row := range []struct {
		name   string
		befall func(t *testing.T, s *azurepgtest.Server, app *azurepgtest.Principal)
		undo   func(t *testing.T, s *azurepgtest.Server, app *azurepgtest.Principal) // nil: a new token cures it
	}{
		{"token revoked", func(_ *testing.T, s *azurepgtest.Server, _ *azurepgtest.Principal) { s.Entra.RevokeTokens() }, nil},
		{"signing key rotated", func(t *testing.T, s *azurepgtest.Server, _ *azurepgtest.Principal) {
			if err := s.Entra.RotateKeys(); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"role made anew for another principal", func(t *testing.T, s *azurepgtest.Server, app *azurepgtest.Principal) {
			addRole(t, s, app.Name, s.AddServicePrincipal("other"))
		}, func(t *testing.T, s *azurepgtest.Server, app *azurepgtest.Principal) { addRole(t, s, app.Name, app) }},
		{"role made anew for a user", func(t *testing.T, s *azurepgtest.Server, app *azurepgtest.Principal) {
			addRole(t, s, app.Name, s.AddUser("alice@contoso.com"))
		}, func(t *testing.T, s *azurepgtest.Server, app *azurepgtest.Principal) { addRole(t, s, app.Name, app) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := azurepgtest.Start(t)
			cfg := toHosts(t, s, "app", hostsOf(s.Postgres)...)
			app := s.AddServicePrincipal("app")
			all := pools(t, cfg)
			for _, p := range all {
				if err := p.exec(t.Context(), "select 1"); err != nil {
					t.Fatal(err)
				}
			}
			before := s.Entra.TokenRequests()
			row.befall(t, s, app)
			for range 5 {
				for _, p := range all {
					s.Postgres.KillConnections()
					err := untilLogin(t.Context(), p)
					if row.undo != nil && !isRefusal(err) {
						t.Errorf("%s: got %v; want a refusal", p.name, err)
					}
				}
			}
			if got := s.Entra.TokenRequests() - before; got != 1 {
				t.Errorf("%d token requests; want 1", got)
			}
			if row.undo != nil {
				row.undo(t, s, app)
			}
			for _, p := range all {
				s.Postgres.KillConnections()
				if err := untilLogin(t.Context(), p); err != nil {
					t.Errorf("%s, afterwards: %v", p.name, err)
				}
			}
			if got := s.Entra.TokenRequests() - before; got != 1 {
				t.Errorf("%d token requests in all; want 1", got)
			}
		})
	}
}

func addRole(t *testing.T, s *azurepgtest.Server, name string, principal *azurepgtest.Principal) {
	t.Helper()
	if err := s.Postgres.AddRole(t.Context(), name, principal); err != nil {
		t.Fatal(err)
	}
}

// untilLogin asks until no connection from before is in the way.
func untilLogin(ctx context.Context, p pool) (err error) {
	for range 5 {
		if err = p.exec(ctx, "select 1"); err == nil || isRefusal(err) {
			return err
		}
	}
	return err
}

func isRefusal(err error) bool {
	var server interface{ SQLState() string }
	return errors.As(err, &server) && server.SQLState()[:2] == "28"
}

// A certificate that is replaced on disk is taken up without a new Connector, once Entra
// has refused the old one.
func TestCertificateReplacedOnDiskIsReadAnew(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app, other := s.AddServicePrincipal("renewed"), s.AddServicePrincipal("not renewed")
	file := filepath.Join(t.TempDir(), "client.pem")
	deploy := func(from string) {
		b, err := os.ReadFile(filepath.Clean(from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deploy(other.CertificateFile)
	c := connector(t, dsn(s, app.Name, "azure_credential", "client_certificate", "azure_tenant_id", app.TenantID,
		"azure_client_id", app.ClientID, "azure_client_certificate_path", file), nil)
	var te *azurepg.TokenError
	if _, err := c.Connect(t.Context()); !errors.As(err, &te) || te.Code != "AADSTS700027" {
		t.Fatalf("got %v; want AADSTS700027", err)
	}
	deploy(app.CertificateFile)
	waitFor(t, "login with the new certificate", func() bool { // a failure is not repeated within a second
		conn, err := c.Connect(t.Context())
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}
