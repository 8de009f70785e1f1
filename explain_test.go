package azurepg_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// connectError returns the error of a connect by dsn, after checking that it is
// one filled line without secrets.
func connectError(t *testing.T, dsn string, change func(*azurepg.Config), secrets ...string) error {
	t.Helper()
	_, err := connector(t, dsn, change).Connect(t.Context())
	if err == nil {
		t.Fatal("connected")
	}
	if !strings.HasPrefix(err.Error(), "azurepg: ") || strings.ContainsAny(err.Error(), "\n{}") {
		t.Errorf("%q is not one line of azurepg's", err)
	}
	for _, secret := range secrets {
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
			t.Errorf("%q shows a secret", err)
		}
	}
	return err
}

// wantParts fails the test if err's text lacks a part.
func wantParts(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v\nlacks %s", err, part)
		}
	}
}

func TestRefusedLoginSaysWhatIsWrongWithIt(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app, other := s.AddServicePrincipal("explain-app"), s.AddServicePrincipal("explain-other")
	alice := s.AddUser("explain-alice@contoso.com")
	stranger := s.AddServicePrincipal("explain-stranger")
	if err := s.Postgres.AddRole(t.Context(), "explain-o'brien", other); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		of   *azurepgtest.Principal
		mint azurepgtest.MintOptions
		user string
		says []string
	}{
		{name: "another audience", of: app, mint: azurepgtest.MintOptions{Audience: "00000003-0000-0000-c000-000000000000"}, user: app.Name,
			says: []string{`the token is for "00000003-0000-0000-c000-000000000000"`, "ossrdbms-aad.database.windows.net/.default", "leave azure_scope out"}},
		{name: "expired", of: app, mint: azurepgtest.MintOptions{Expires: time.Now().Add(-time.Hour)}, user: app.Name, says: []string{"the token expired 1h0m", "set the clock"}},
		{name: "not yet valid", of: app, mint: azurepgtest.MintOptions{NotBefore: time.Now().Add(time.Hour)}, user: app.Name, says: []string{"valid only in ", "set the clock"}},
		{name: "another tenant", of: app, mint: azurepgtest.MintOptions{TenantID: "99999999-2222-2222-2222-222222222222"}, user: app.Name,
			says: []string{`does not trust its tenant, "99999999-2222-2222-2222-222222222222"`}},
		{name: "forged", of: app, mint: azurepgtest.MintOptions{Forged: true}, user: app.Name, says: []string{"could not read the token", app.TenantID}},
		{name: "an application as a user", of: app, user: alice.Name, says: []string{"the role is of a user, but the token is of an application", app.ObjectID}},
		{name: "a user as an application", of: alice, user: app.Name, says: []string{"but the token is of a person", alice.UPN}},
		{name: "another object id", of: app, user: "explain-o'brien", says: []string{`security label for "pgaadauth" on role "explain-o'brien" is 'aadauth,oid=` + app.ObjectID + `,type=service'`}},
		{name: "no role", of: stranger, user: "explain-o'nobody", says: []string{"pgaadauth_create_principal_with_oid('explain-o''nobody', '" + stranger.ObjectID + "', 'service', false, false)"}},
		{name: "another case", of: alice, user: "Explain-Alice@contoso.com", says: []string{"case-sensitive", alice.UPN}},
		{name: "a client id", of: app, user: app.ClientID, says: []string{"not its client or object id"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			token := s.Entra.Mint(row.of, &row.mint)
			err := connectError(t, dsn(s, row.user), func(cfg *azurepg.Config) {
				cfg.Credential = giving(token)
			}, token)
			var refused *azurepg.AuthError
			if !errors.As(err, &refused) || !errors.As(err, new(*pgconn.PgError)) || refused.Retried {
				t.Errorf("got %v; want an AuthError around the server's", err)
			}
			wantParts(t, err, row.says...)
		})
	}
}

// Errors of PostgreSQL itself, which are no verdict on the token: nothing is
// fetched or tried again.
func TestFailureThatIsNotTheTokensIsExplainedAndLeavesIt(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	full, barred := s.AddServicePrincipal("full"), s.AddServicePrincipal("barred")
	if err := s.Postgres.CreateDatabase(t.Context(), "private"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`alter role "full" connection limit 0`, `revoke connect on database private from public`} {
		if err := s.Postgres.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name, state string
		of          *azurepgtest.Principal
		database    string
		says        string
	}{
		{"no connection left", "53300", full, "postgres", "SetMaxOpenConns"},
		{"no CONNECT", "42501", barred, "private", `grant connect on database "private" to "barred"`},
		{"no database", "3D000", barred, "absent", "set the database in the DSN"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := s.Entra.TokenRequests()
			c := connector(t, bySecret(s, row.of), func(cfg *azurepg.Config) { cfg.Database = row.database })
			_, err := c.Connect(t.Context())
			var server *pgconn.PgError
			if !errors.As(err, &server) || server.Code != row.state || errors.As(err, new(*azurepg.AuthError)) {
				t.Fatalf("got %v; want the server's %s and no AuthError", err, row.state)
			}
			wantParts(t, err, "azurepg: ", row.state, row.says)
			if got := c.Stats(); s.Entra.TokenRequests() > before+1 || got.Refused != 0 || got.Retried != 0 || got.Tokens.Forced != 0 {
				t.Errorf("Stats() = %+v; want no refusal, no retry, no forced fetch", got)
			}
		})
	}
}

func TestServerOfAnotherKindIsExplained(t *testing.T) {
	noAzure(t)
	for _, row := range []struct {
		evil azurepgtest.Evil
		says string
	}{
		{azurepgtest.AsksMD5, "this role is not an Entra role"},
		{azurepgtest.AsksSCRAM, "this role is not an Entra role"},
		{azurepgtest.AsksNothing, "no Azure Database for PostgreSQL"},
		{azurepgtest.RefusesTLS, "ssl = on"},
		{azurepgtest.OtherName, `is not for "127.0.0.1" but for "db.example.com"`},
		{azurepgtest.SelfSigned, "signed by an authority that is not trusted here"},
	} {
		for _, b := range bases {
			t.Run(string(row.evil)+", "+b.name, func(t *testing.T) {
				t.Parallel()
				rec := azurepgtest.Record(t, row.evil)
				err := b.connect(t.Context(), toRecorder(t, rec, "verify-full"))
				if err == nil {
					t.Fatal("connected")
				}
				wantParts(t, err, "azurepg: ", row.says)
				wantNothing(t, rec)
			})
		}
	}
}

func TestAdviceForAPoolIsInTheLog(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app, other := s.AddServicePrincipal("pool-app"), s.AddServicePrincipal("pool-other")
	var log bytes.Buffer
	cfg, err := azurepg.ParseDSN(bySecret(s, app))
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Logger = other.Name, slog.New(slog.NewTextHandler(&log, nil))
	if err := doors["pgxpool"](t.Context(), cfg); err == nil {
		t.Fatal("connected")
	}
	if !strings.Contains(log.String(), "security label for") || !strings.Contains(log.String(), app.ObjectID) {
		t.Errorf("the log does not say what to do:\n%s", log.String())
	}
}

func TestRevokedTokenIsToldFromAnExpiredOne(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	token := s.Entra.Mint(app, nil)
	s.Entra.RevokeTokens()
	err := connectError(t, dsn(s, app.Name), func(cfg *azurepg.Config) {
		cfg.Credential = giving(token)
	}, token)
	wantParts(t, err, "the token is valid for another ", "revoked")
}
