package azurepg_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestPoolSaysThatThereIsNoNewToken(t *testing.T) {
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
	s.Entra.ExpireSecret(app)
	_ = pool.Ping(t.Context()) // learns of the revocation
	refusals := s.Postgres.Refusals()
	var noToken *azurepg.TokenError
	if err := pool.Ping(t.Context()); !errors.As(err, &noToken) || noToken.Code != "AADSTS7000222" {
		t.Errorf("got %v; want AADSTS7000222", err)
	}
	if s.Postgres.Refusals() != refusals {
		t.Error("the refused token was sent again")
	}
}

func TestPoolWithAWrongRoleDisturbsNoOther(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app, other := s.AddServicePrincipal("app"), s.AddServicePrincipal("other")
	good := connector(t, bySecret(s, app), nil)
	if conn, err := good.Connect(t.Context()); err != nil {
		t.Fatal(err)
	} else {
		_ = conn.Close()
	}
	s.Entra.Fault(azurepgtest.Hang)
	wrong := connector(t, bySecret(s, app), func(c *azurepg.Config) { c.User = other.Name })
	pool := openPool(t, wrong)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // the pool itself waits for a new token
		if err := pool.Ping(ctx); err == nil {
			t.Error("the wrong role logged in")
		}
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
		conn, err := good.Connect(ctx) // would hang with Entra, if it had to ask
		cancel()
		if err != nil {
			t.Fatalf("the right role meanwhile: %v", err)
		}
		_ = conn.Close()
	}
	s.Entra.ClearFaults()
	for range 10 {
		_ = pool.Ping(t.Context())
	}
	if got := s.Entra.TokenRequests(); got > 3 {
		t.Errorf("%d token requests; want one, and one forced", got)
	}
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
