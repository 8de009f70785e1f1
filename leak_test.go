package azurepg_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/tracelog"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestNoSecretOfALeakyDSNComesOutOfAPool(t *testing.T) {
	noAzure(t)
	rows := azurepg.LeakyDSNs(t)
	for i, row := range rows {
		w := newWitness(t)
		what := fmt.Sprintf("DSN %d", i)
		if cfg, err := azurepg.ParseDSN(row.DSN); err == nil {
			w.print(what, cfg)
			w.print(what+" by value", *cfg)
		} else {
			w.fail(t, "ParseDSN of "+what, err)
			if !errors.As(err, new(*azurepg.DSNError)) {
				t.Errorf("%s: got %T; want *DSNError", what, err)
			}
		}
		for _, b := range bases {
			db, err := sql.Open(b.driver, row.DSN)
			if err == nil {
				w.print("*sql.DB of "+what, db)
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				err = db.PingContext(ctx)
				cancel()
				_ = db.Close()
			}
			w.fail(t, b.name+", "+what, err)
		}
		_, err := azurepg.NewPool(t.Context(), row.DSN)
		w.fail(t, "NewPool of "+what, err)
		w.wantNone(t, row.Secrets...)
	}
}

// Every way to fail that azurepgtest can produce, with all logging on.
func TestNoTokenOrSecretIsPrintedWhateverFails(t *testing.T) {
	noAzure(t)
	w := newWitness(t)
	s := azurepgtest.Start(t)
	app, user := s.AddServicePrincipal("app"), s.AddUser("alice@contoso.com")
	s.AddManagedIdentity("id")
	s.Identity.SetLifetime(4 * time.Minute) // MSAL's process-wide cache hands out only what lasts longer
	az := s.AzureCLI(user)
	t.Setenv("PATH", az.Dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	logged := func(cfg *azurepg.Config) {
		cfg.Logger = w.logger
		cfg.ConfigurePgx = func(config *pgx.ConnConfig) error {
			config.Tracer = &tracelog.TraceLog{LogLevel: tracelog.LogLevelTrace, Logger: tracelog.LoggerFunc(
				func(_ context.Context, _ tracelog.LogLevel, msg string, data map[string]any) {
					w.print("tracelog", data)
					w.keep("tracelog", msg)
				})}
			return nil
		}
	}
	caches := 0
	patience := 30 * time.Second // with the token service
	connect := func(dsn string) error {
		caches++
		db := openConnector(t, connector(t, dsn, func(cfg *azurepg.Config) {
			logged(cfg)
			cfg.TokenTimeout, cfg.RefreshAhead = patience, time.Duration(caches) // a cache of its own
		}))
		defer func() { w.print("*sql.DB", db) }()
		return db.PingContext(t.Context())
	}
	dsns := map[string]string{"secret": s.DSN("app"), "certificate": dsn(s, "app", "azure_credential", "client_certificate",
		"azure_tenant_id", app.TenantID, "azure_client_id", app.ClientID, "azure_client_certificate_path", app.CertificateFile),
		"identity": s.DSN("id"), "az": s.DSN("alice@contoso.com")}
	for name, dsn := range dsns {
		if err := connect(dsn); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	patience = 500 * time.Millisecond // whatever is the matter then
	for name, fault := range map[string]azurepgtest.Fault{
		"hang": azurepgtest.Hang, "reset": azurepgtest.Reset, "garbage": azurepgtest.Garbage, "truncated": azurepgtest.TruncatedJSON,
		"echo": azurepgtest.Echo, "429": azurepgtest.Status(429, time.Second), "500": azurepgtest.Status(500, 0), "401": azurepgtest.Status(401, 0),
		"AADSTS": azurepgtest.SecretExpired, "unknown AADSTS": azurepgtest.AADSTS(1),
	} {
		s.Entra.Fault(fault)
		s.Identity.Fault(fault)
		for kind, dsn := range dsns {
			if kind != "az" { // which asks another way, below
				w.fail(t, kind+", "+name, connect(dsn))
			}
		}
		s.Entra.ClearFaults()
		s.Identity.ClearFaults()
	}
	patience = 30 * time.Second
	az.SignOut()
	w.fail(t, "az signed out", connect(dsns["az"]))
	az.SignIn()

	for name, mint := range map[string]*azurepgtest.MintOptions{
		"expired": {Expires: time.Now().Add(-time.Minute)}, "not yet": {NotBefore: time.Now().Add(time.Hour)}, "forged": {Forged: true},
		"tenant": {TenantID: "11111111-2222-4333-8444-555555555555"}, "long": {Claims: map[string]any{"groups": strings.Repeat("x", 60000)}},
	} {
		for _, state := range []string{"28P01", "28000", "08P01"} {
			s.Postgres.SetRefusal(state)
			cfg := toPostgres(t, s, s.Entra.Mint(app, mint))
			logged(cfg)
			for door, open := range doors {
				w.fail(t, door+", "+name+", "+state, oneLine(open(t.Context(), cfg)))
			}
		}
	}
	s.Postgres.SetRefusal("")
	s.Entra.RevokeTokens()
	w.fail(t, "role of another", connect(strings.Replace(s.DSN("app"), "//app@", "//id@", 1)))
	w.fail(t, "no such role", connect(strings.Replace(s.DSN("app"), "//app@", "//nobody@", 1)))
	w.fail(t, "no such database", connect(strings.Replace(s.DSN("app"), "/postgres?", "/missing?", 1)))
	s.Postgres.RejectBefore(true)
	w.fail(t, "pg_hba", connect(s.DSN("app")))
	s.Postgres.RejectBefore(false)

	w.wantNone(t, append(s.Entra.Tokens(), app.Secret, privateKey(t, app.CertificateFile))...)
	t.Logf("%d tokens searched in %d texts", len(s.Entra.Tokens()), w.count())
}

// toPostgres is a Config for the real server with the credential that gives token.
func toPostgres(t *testing.T, s *azurepgtest.Server, token string) *azurepg.Config {
	t.Helper()
	return &azurepg.Config{
		Hosts: []azurepg.Host{{Name: s.Postgres.Host, Port: uint16(s.Postgres.Port)}}, User: "app", SSLRootCert: s.Postgres.CAFile,
		Credential: giving(token),
	}
}

// privateKey returns the base64 of the key in a PEM file, as one text.
func privateKey(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	_, key, found := bytes.Cut(b, []byte("-----BEGIN PRIVATE KEY-----\n"))
	if !found {
		t.Fatal(errors.New("there is no key"))
	}
	key, _, _ = bytes.Cut(key, []byte("\n"))
	return string(key)
}
