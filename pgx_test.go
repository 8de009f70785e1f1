package azurepg_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// raw runs f on the pgx connection of one connection of db.
func raw(t *testing.T, db *sql.DB, f func(*pgx.Conn) error) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(c any) error {
		own, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the connection is a %T; want *stdlib.Conn", c)
		}
		return f(own.Conn())
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConnIsNotWrapped(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	db := open(t, bySecret(s, s.AddServicePrincipal("raw-app")))
	if _, err := db.Exec(`create table raw_numbers (n int primary key, tags text[])`); err != nil {
		t.Fatal(err)
	}
	raw(t, db, func(c *pgx.Conn) error { return useEverything(t.Context(), c) })

	t.Run("arrays", func(t *testing.T) {
		var tags []string
		raw(t, db, func(c *pgx.Conn) error {
			return c.QueryRow(t.Context(), `select tags from raw_numbers where n = 2`).Scan(&tags)
		})
		if len(tags) != 2 || tags[1] != "two" {
			t.Errorf("tags = %q; want [even two]", tags)
		}
		var n int
		if err := db.QueryRow(`select count(*) from raw_numbers where n = any($1)`, []int{1, 2, 3}).Scan(&n); err != nil || n != 3 {
			t.Errorf("got %d, %v; want 3", n, err)
		}
	})
	t.Run("errors of queries are bare", func(t *testing.T) {
		_, err := db.Exec(`insert into raw_numbers values (1)`)
		if pe, ok := err.(*pgconn.PgError); !ok || pe.Code != "23505" {
			t.Errorf("got %T %v; want a bare *pgconn.PgError 23505", err, err)
		}
	})
}

// useEverything uses COPY, a batch and LISTEN on table raw_numbers.
func useEverything(ctx context.Context, c *pgx.Conn) error {
	rows := [][]any{{1, []string{"odd"}}, {2, []string{"even", "two"}}, {3, nil}}
	n, err := c.CopyFrom(ctx, pgx.Identifier{"raw_numbers"}, []string{"n", "tags"}, pgx.CopyFromRows(rows))
	if err != nil || n != 3 {
		return fmt.Errorf("CopyFrom = %d, %w", n, err)
	}
	batch := &pgx.Batch{}
	batch.Queue(`select 1`)
	batch.Queue(`select 2`)
	if err := c.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if _, err := c.Exec(ctx, `listen raw_channel`); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, `notify raw_channel, 'hello'`); err != nil {
		return err
	}
	note, err := c.WaitForNotification(ctx)
	if err != nil || note.Payload != "hello" {
		return fmt.Errorf("notification %+v, %w", note, err)
	}
	return nil
}

func TestNewPoolLogsIn(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("pool-app")
	pool, err := azurepg.NewPool(t.Context(), bySecret(s, app, "pool_max_conns", "3", "pool_max_conn_lifetime", "1h"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if got := pool.Config(); got.MaxConns != 3 || got.MaxConnLifetime != time.Hour {
		t.Errorf("MaxConns %d, MaxConnLifetime %v; want those of the DSN", got.MaxConns, got.MaxConnLifetime)
	}
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), `create temporary table raw_numbers (n int primary key, tags text[])`); err != nil {
		t.Fatal(err)
	}
	if err := useEverything(t.Context(), conn.Conn()); err != nil {
		t.Error(err)
	}
	_, err = conn.Exec(t.Context(), `insert into raw_numbers values (1)`)
	if pe, ok := err.(*pgconn.PgError); !ok || pe.Code != "23505" {
		t.Errorf("got %T %v; want a bare *pgconn.PgError 23505", err, err)
	}
}

func TestPoolHasANewTokenAfterARefusal(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	c := connector(t, bySecret(s, app), nil)
	pool := openPool(t, c)
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool.Reset()
	s.Entra.RevokeTokens()
	before := s.Entra.TokenRequests()
	if err := pool.Ping(t.Context()); err == nil {
		t.Error("the revoked token logged in")
	}
	for range 10 {
		if err := pool.Ping(t.Context()); err != nil {
			t.Fatalf("after the refusal: %v", err)
		}
		pool.Reset()
	}
	if got := s.Entra.TokenRequests() - before; got != 1 {
		t.Errorf("%d token requests; want 1", got)
	}
}

func TestOwnPoolConfigIsTakenOver(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("own-pool-app")
	c := connector(t, bySecret(s, app), nil)
	// All that azurepg decides is wrong here.
	config, err := pgxpool.ParseConfig("host=127.0.0.1,/tmp port=1 user=nobody password=HUNTER2 sslmode=disable dbname=postgres application_name=mine")
	if err != nil {
		t.Fatal(err)
	}
	config.BeforeConnect = c.BeforeConnect
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var user, name string
	if err := pool.QueryRow(t.Context(), `select current_user, current_setting('application_name')`).Scan(&user, &name); err != nil {
		t.Fatal(err)
	}
	if user != app.Name || name != "mine" {
		t.Errorf("user %q, application %q; want %q and mine", user, name, app.Name)
	}
}

func TestLivingConnectionsShowNoToken(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	c := connector(t, bySecret(s, app), nil)
	db := openConnector(t, c)
	pool, err := azurepg.NewPool(t.Context(), bySecret(s, app))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	poolConn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer poolConn.Release()
	cfg, err := azurepg.ParseDSN(bySecret(s, app))
	if err != nil {
		t.Fatal(err)
	}
	things := map[string]any{
		"*sql.DB": db, "*Connector": c, "*Config": cfg, "Config": *cfg, "*pgxpool.Pool": pool, "*pgxpool.Config": pool.Config(),
		"*pgx.ConnConfig": pool.Config().ConnConfig, "*pgx.Conn": poolConn.Conn(), "its config": poolConn.Conn().Config(),
		"*Login":      &azurepg.Login{User: "app", Password: azurepg.Secret(s.Entra.Tokens()[0])},
		"Login":       azurepg.Login{Password: azurepg.Secret(s.Entra.Tokens()[0])},
		"*TokenCache": azurepg.NewTokenCache(giving(s.Entra.Tokens()[0]), nil),
	}
	raw(t, db, func(conn *pgx.Conn) error {
		things["*pgx.Conn of database/sql"], things["its config too"] = conn, conn.Config()
		things["*pgconn.PgConn"] = conn.PgConn()
		return nil
	})
	sqlConn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sqlConn.Close() }()
	_ = sqlConn.Raw(func(own any) error { things["*stdlib.Conn"] = own; return nil })
	w := newWitness(t)
	for name, thing := range things {
		w.print(name, thing)
	}
	w.wantNone(t, append(s.Entra.Tokens(), app.Secret)...)
	for _, config := range []*pgx.ConnConfig{poolConn.Conn().Config(), pool.Config().ConnConfig} {
		if config.Password != "" {
			t.Error("a config still holds the password")
		}
	}
}

func TestErrorsOfPgxHoldNoPassword(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	c := connector(t, bySecret(s, app), nil)
	cut := errors.New("cut by the test")
	for _, after := range []int{1, 2} { // start-up packet, password
		config, err := c.PoolConfig()
		if err != nil {
			t.Fatal(err)
		}
		config.ConnConfig.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
			return &failingConn{Conn: conn, left: after - 1, err: cut}, nil
		}
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		err = pool.Ping(t.Context())
		pool.Close()
		var ce *pgconn.ConnectError
		if !errors.Is(err, cut) || !errors.As(err, &ce) {
			t.Fatalf("got %v; want pgx's ConnectError of the cut", err)
		}
		if ce.Config.Password != "" {
			t.Errorf("write %d cut: the error's config holds the password", after)
		}
	}
}

// failingConn fails the writes after the first left ones.
type failingConn struct {
	net.Conn
	left int
	err  error
}

func (c *failingConn) Write(p []byte) (int, error) {
	if c.left == 0 {
		return 0, c.err
	}
	c.left--
	return c.Conn.Write(p)
}

func TestQueryIsCancelledOverTLS(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	db := open(t, bySecret(s, s.AddServicePrincipal("cancel-app")))
	raw(t, db, func(c *pgx.Conn) error {
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.WithoutCancel(t.Context()), `select pg_sleep(60)`)
			done <- err
		}()
		for {
			if err := c.PgConn().CancelRequest(t.Context()); err != nil {
				return err
			}
			select {
			case err := <-done:
				var pe *pgconn.PgError
				if !errors.As(err, &pe) || pe.Code != "57014" {
					return fmt.Errorf("got %w; want query_canceled 57014", err)
				}
				return nil
			case <-time.After(50 * time.Millisecond): // the query may not have begun
			}
		}
	})
}

func TestHooksOfConfigurePgxRunAfterOurs(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("hook-app")
	var calls []string
	c := connector(t, bySecret(s, app), func(cfg *azurepg.Config) {
		cfg.ConfigurePgx = func(cc *pgx.ConnConfig) error {
			cc.User, cc.Password, cc.TLSConfig, cc.Fallbacks, cc.RequireAuth = "nobody", "HUNTER2", nil, nil, ""
			cc.Host = "/tmp"
			cc.AfterNetConnect = func(_ context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
				calls = append(calls, fmt.Sprintf("net, password %q", config.Password))
				return conn, nil
			}
			cc.ValidateConnect = func(context.Context, *pgconn.PgConn) error { calls = append(calls, "validate"); return nil }
			cc.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
				calls = append(calls, "connect")
				return nil
			}
			cc.RuntimeParams["application_name"] = "hooked"
			return nil
		}
	})
	db := openConnector(t, c)
	var name string
	if err := db.QueryRow(`select current_setting('application_name')`).Scan(&name); err != nil || name != "hooked" {
		t.Fatalf("application_name %q, %v; want hooked", name, err)
	}
	if got := strings.Join(calls, ", "); got != `net, password "", validate, connect` {
		t.Errorf("hooks: %s", got)
	}
	wantUser(t, db, app.Name)

	cfg, err := azurepg.ParseDSN(bySecret(s, app))
	if err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	cfg.ConfigurePgx = func(*pgx.ConnConfig) error { return mine }
	var de *azurepg.DSNError
	if _, err := azurepg.NewConnector(cfg); !errors.Is(err, mine) || !errors.As(err, &de) {
		t.Errorf("got %v; want a DSNError of the hook's error", err)
	}
}

func TestHostileEnvironmentChangesNothing(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("hostile-app")
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".pgpass"), []byte("*:*:*:*:HUNTER2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, ".postgresql"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root.crt", "postgresql.crt", "postgresql.key"} {
		if err := os.WriteFile(filepath.Join(home, ".postgresql", name), []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	explicit, err := azurepg.ParseDSN(bySecret(s, app))
	if err != nil {
		t.Fatal(err)
	}
	setenv(t, "HOME="+home, "PGPASSWORD=HUNTER2", "PGPASSFILE=/nonexistent", "PGSERVICE=nonexistent", "PGSERVICEFILE=/nonexistent",
		"PGSSLMODE=disable", "PGSSLROOTCERT=/nonexistent", "PGSSLCERT=/nonexistent", "PGSSLKEY=/nonexistent", "PGSSLNEGOTIATION=bogus",
		"PGHOST=/tmp", "PGPORT=bogus", "PGUSER=nobody", "PGDATABASE=nothing", "PGCONNECT_TIMEOUT=bogus", "PGTARGETSESSIONATTRS=bogus",
		"PGCHANNELBINDING=require", "PGREQUIREAUTH=md5", "PGMINPROTOCOLVERSION=bogus", "PGMAXPROTOCOLVERSION=bogus", "PGSSLCERTMODE=bogus",
		"PGTZ=bogus", "PGOPTIONS=-c bogus=1", "PGAPPNAME=bogus", "PGSSLSNI=0", "PGSSLPASSWORD=x")
	for _, b := range bases { // a Config says it all
		explicit.Base = b.base
		c, err := azurepg.NewConnector(explicit)
		if err != nil {
			t.Fatal(err)
		}
		wantUser(t, openConnector(t, c), app.Name)
		if _, err := c.PoolConfig(); err != nil && b.base == nil {
			t.Error(err)
		}
	}
}

func TestPoolKeysAreRefusedBySQLOpen(t *testing.T) {
	_, err := sql.Open(azurepg.DriverName, "host=db.example.com pool_max_conns=3")
	var de *azurepg.DSNError
	if !errors.As(err, &de) || de.Key != "pool_max_conns" || !strings.Contains(err.Error(), "SetMaxOpenConns") {
		t.Errorf("got %v; want a DSNError that names SetMaxOpenConns", err)
	}
}
