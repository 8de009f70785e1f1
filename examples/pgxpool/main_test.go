package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

var azure *azurepgtest.Server

func TestMain(m *testing.M) {
	slog.SetLogLoggerLevel(slog.LevelWarn)
	os.Exit(exampletest.Serve(m, &azure))
}

func TestPoolsWorkWhileTokensRotate(t *testing.T) {
	defer azure.Entra.SetLifetime(time.Hour)
	azure.Entra.SetLifetime(6 * time.Second) // half of it is for a login on a busy machine: pgxpool does not try again
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// A role of its own: the process may still have another test's token of an hour.
	dsn := azure.NewDatabase(t, "rotating") + "&pool_max_conns=2&pool_max_conn_lifetime=50ms&pool_health_check_period=20ms"
	rounds, tokensBefore, loginsBefore := 0, azure.Entra.TokenRequests(), azure.Postgres.Logins()
	for ; azure.Entra.TokenRequests() < tokensBefore+2; rounds++ {
		var out strings.Builder
		if err := run(ctx, dsn, &out); err != nil {
			t.Fatal(err)
		}
		want := `NewPool: 1000 rows copied, their sum is 500500, heard "copied"
PoolConfig: 1000 rows copied, their sum is 500500, heard "copied"
BeforeConnect: 1000 rows copied, their sum is 500500, heard "copied"
`
		if out.String() != want {
			t.Fatalf("printed\n%s; want\n%s", &out, want)
		}
	}
	if logins := azure.Postgres.Logins() - loginsBefore; logins < 6*rounds || azure.Postgres.Refusals() > 0 {
		t.Errorf("%d logins in %d rounds of three pools, each of which waits on one connection and writes on another; %d refused",
			logins, rounds, azure.Postgres.Refusals())
	}
}

func TestPoolConfigHoldsNoSecret(t *testing.T) {
	dsn := azure.NewDatabase(t, "shop")
	secret := azure.AddServicePrincipal("shop").Secret
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			pool, err := way.open(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if err := pool.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
			config := pool.Config()
			text := fmt.Sprintf("%+v %+v %+v %s", *config, *config.ConnConfig, *conn.Conn().Config(), config.ConnString())
			if config.ConnConfig.Password != "" || conn.Conn().Config().Password != "" {
				t.Error("a password is left in a configuration")
			}
			tokens := azure.Entra.Tokens()
			if len(tokens) == 0 {
				t.Fatal("no token was issued")
			}
			for _, s := range append(tokens, secret) {
				if strings.Contains(text, s) {
					t.Error("a configuration holds a token or the client secret")
				}
			}
		})
	}
}

// The keys count in the first two ways; in the third the program has its own.
func TestPoolKeysOfTheDSNCount(t *testing.T) {
	dsn := azure.NewDatabase(t, "shop") + "&pool_max_conns=7&pool_max_conn_idle_time=11s"
	want := map[string]int32{"NewPool": 7, "PoolConfig": 7, "BeforeConnect": 3}
	for _, way := range ways {
		pool, err := way.open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		if got := pool.Config().MaxConns; got != want[way.name] {
			t.Errorf("%s: at most %d connections; want %d", way.name, got, want[way.name])
		}
		if idle := pool.Config().MaxConnIdleTime; (idle == 11*time.Second) != (way.name != "BeforeConnect") {
			t.Errorf("%s: idle for %v", way.name, idle)
		}
		pool.Close()
	}
}
