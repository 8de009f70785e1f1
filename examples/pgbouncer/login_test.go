package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/doctor"
)

// Nothing of the tests' set-up lets a login pass that Azure would refuse: PgBouncer
// compares, and PostgreSQL checks.
func TestTokenIsCheckedByPgBouncerAndByPostgres(t *testing.T) {
	t.Parallel()
	t.Run("another one", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, "another")
		db := c.open(t, "", nil)
		if err := db.Ping(); err != nil {
			t.Fatal(err)
		}
		if err := c.admit("another", azure.Entra.Mint(c.who, &azurepgtest.MintOptions{Claims: map[string]any{"jti": "later"}})); err != nil {
			t.Fatal(err)
		}
		if err := c.open(t, "", nil).Ping(); err != nil || len(c.issued()) != 2 {
			t.Errorf("%v with %d tokens; want PgBouncer's refusal to be answered with a second one", err, len(c.issued()))
		}
	})
	t.Run("of nobody", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, "somebody")
		cfg := c.config(t, "")
		cfg.User = "nobody"
		connector, err := azurepg.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = connector.Connect(t.Context())
		var refused *azurepg.AuthError
		if !errors.As(err, &refused) || refused.SQLState != "08P01" || !strings.Contains(err.Error(), "password authentication failed (SQLSTATE 08P01)") {
			t.Errorf("got %v; want PgBouncer's refusal, which has no code of class 28, as an AuthError", err)
		}
	})
	t.Run("forged", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, "forged")
		c.options.Forged = true
		refusals := azure.Postgres.Refusals()
		if err := c.open(t, "connect_timeout=2", nil).Ping(); err == nil {
			t.Error("PgBouncer's login with a forged token was accepted")
		}
		if azure.Postgres.Refusals() == refusals || !strings.Contains(azure.Postgres.LastRefusal(), "sign") {
			t.Errorf("refused by %q; want PostgreSQL's check of the signature", azure.Postgres.LastRefusal())
		}
	})
}

// The examination prepares no statements, and sees that another process answers than the
// one of the login.
func TestDoctorSeesPgBouncer(t *testing.T) {
	t.Parallel()
	c := newClient(t, "patient")
	report := doctor.ExamineConfig(t.Context(), c.config(t, ""), nil)
	server := report.Steps[len(report.Steps)-1]
	if !report.OK || !slices.Contains(server.Findings, doctor.Finding{Name: "pooler", Value: "yes"}) {
		t.Errorf("got\n%s", report)
	}
}

// The token of a person in many groups is longer than any of PgBouncer's buffers had
// been before 1.26.
func TestLongTokensNeedANewPgBouncer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		pad  int  // bytes of an additional claim
		fits bool // in PgBouncer before 1.26
	}{{"application", 0, true}, {"person in many groups", 4000, false}} {
		c := newClient(t, "long")
		c.options.Claims = map[string]any{"groups": strings.Repeat("g", row.pad)}
		err := c.open(t, "", nil).Ping()
		length := len(c.issued()[0])
		t.Logf("%s: %d bytes: %v", row.name, length, err)
		if fits := row.fits || isAtLeast(26); fits != (err == nil) {
			t.Errorf("%s: %d bytes: %v; want them to fit: %t", row.name, length, err, fits)
		}
		// PgBouncer may hang up before it has read all of the password.
		if err != nil && !strings.Contains(err.Error(), "08P01") && !strings.Contains(err.Error(), "write failed") {
			t.Errorf("%s: %v; want PgBouncer's own refusal", row.name, err)
		}
	}
}

func TestParametersWorkAsTheTableSays(t *testing.T) {
	t.Parallel()
	c := newClient(t, "parameters")
	rows := table(t, "## Run-time parameters in the DSN")
	for _, row := range []struct{ name, key string }{
		{"`application_name`", "application_name=app"},
		{"`timezone`", "timezone=Asia/Tokyo"},
		{"`client_encoding`", "client_encoding=UTF8"},
		{"`datestyle`", "datestyle=German"},
		{"`statement_timeout` and most others", "statement_timeout=5000"},
		{"`options=-c …`", "options=-c%20statement_timeout%3D5s"},
	} {
		err := c.open(t, row.key, nil).Ping()
		got := "works"
		if err != nil {
			got = "is refused"
			if !strings.Contains(err.Error(), "unsupported startup parameter") {
				t.Errorf("%s: %v; want PgBouncer's refusal", row.name, err)
			}
		}
		if want := rows[row.name]["there"]; got != want {
			t.Errorf("%s: %s (%v); the table says %q", row.name, got, err, want)
		}
		delete(rows, row.name)
	}
	for name := range rows {
		t.Errorf("the table's row %s is not tested", name)
	}
}
