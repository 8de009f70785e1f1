package main

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

var azure *azurepgtest.Server

func TestMain(m *testing.M) {
	if _, err := findPgBouncer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(exampletest.Serve(m, &azure))
}

// A client is a role with a database and a PgBouncer of its own: each new token there is a
// RELOAD, after which PgBouncer 1.18 replaces its connections.
type client struct {
	*bouncer
	*issuer
	direct   string // the DSN past PgBouncer
	database string
	tokens   *azurepg.TokenCache
}

// newClient returns a client of a PgBouncer with more settings.
func newClient(t *testing.T, role string, settings ...string) *client {
	t.Helper()
	direct := azure.NewDatabase(t, role)
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	b, err := startBouncer(azure.Postgres, append(preparedStatements(0), settings...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	i := &issuer{azure: azure, bouncer: b, who: azure.AddServicePrincipal(role)}
	return &client{b, i, direct, strings.TrimPrefix(u.Path, "/"), azurepg.NewTokenCache(i, nil)}
}

// config is that of a DSN for PgBouncer with these keys.
func (c *client) config(t *testing.T, keys string) *azurepg.Config {
	t.Helper()
	cfg, err := azurepg.ParseDSN("postgres://" + c.who.Name + "@localhost:" + c.port + "/" + c.database + "?sslrootcert=" + url.QueryEscape(c.caFile) + "&" + keys)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Tokens = c.tokens
	return cfg
}

// open returns a pool of one connection for the duration of a test.
func (c *client) open(t *testing.T, keys string, base azurepg.Base) *sql.DB {
	t.Helper()
	cfg := c.config(t, keys)
	cfg.Base = base
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// warm makes PgBouncer open the two connections that take turns from then on.
func (c *client) warm(t *testing.T) {
	t.Helper()
	const simple = "default_query_exec_mode=simple_protocol"
	first, second := c.open(t, simple, nil), c.open(t, simple, nil)
	for _, db := range []*sql.DB{first, second} {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec("select"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProgramWorksThroughPgBouncerWhileTokensRotate(t *testing.T) {
	t.Parallel()
	c := newClient(t, "rotating", "server_lifetime = 1") // s, so that PgBouncer too logs in with each token
	c.lifetime = 2 * time.Second
	db, err := open(c.config(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetConnMaxLifetime(50 * time.Millisecond)
	backends := make(map[string]bool)
	var out strings.Builder
	visits := 0
	for end := time.Now().Add(2 * time.Minute); len(c.issued()) < 3 && time.Now().Before(end); visits++ {
		out.Reset()
		if err := run(t.Context(), db, &out); err != nil {
			t.Fatal(err)
		}
		backends[text(t, db, "select pg_backend_pid()")] = true
	}
	if want := fmt.Sprintf("%d visits by PgBouncer\n", visits); out.String() != want {
		t.Errorf("printed %q; want %q", &out, want)
	}
	if n := len(c.issued()); n < 3 {
		t.Errorf("%d tokens; want 3", n)
	}
	// PgBouncer's own logins, with tokens that are checked.
	if len(backends) < 3 {
		t.Errorf("PgBouncer logged in %d times; want it with each token", len(backends))
	}
}

func TestEveryRoundTripMeetsAnotherBackend(t *testing.T) {
	t.Parallel()
	c := newClient(t, "turns")
	c.warm(t)
	db := c.session(t)
	first, second, third := text(t, db, "select pg_backend_pid()"), text(t, db, "select pg_backend_pid()"), text(t, db, "select pg_backend_pid()")
	if first == second || first != third {
		t.Errorf("backends %s, %s, %s; want two that take turns, else the other tests show nothing", first, second, third)
	}
}
