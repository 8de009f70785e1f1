package azurepg_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestBeforeConnectMayBeCalledAgainOnTheSameConfig(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	c := connector(t, bySecret(s, app), nil)
	cc, err := pgx.ParseConfig("host=127.0.0.1 dbname=postgres")
	if err != nil {
		t.Fatal(err)
	}
	hooked := 0
	cc.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) { hooked++; return conn, nil }
	connect := func() error {
		if err := c.BeforeConnect(t.Context(), cc); err != nil {
			return err
		}
		conn, err := pgx.ConnectConfig(t.Context(), cc)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err
	}
	for range 4 {
		if err := connect(); err != nil {
			t.Fatal(err)
		}
	}
	s.Entra.RevokeTokens()
	if err := connect(); err == nil {
		t.Error("the revoked token logged in")
	}
	if err := connect(); err != nil {
		t.Errorf("after the refusal: %v", err)
	}
	if got := c.Stats().Opened; got != 5 || hooked != 6 {
		t.Errorf("%d opened, %d calls of the user's hook; want 5 and 6", got, hooked)
	}
}

// connectTracer keeps the password that it sees in the error of a connect.
type connectTracer struct{ password string }

func (*connectTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (*connectTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (*connectTracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return ctx
}
func (c *connectTracer) TraceConnectEnd(_ context.Context, d pgx.TraceConnectEndData) {
	var ce *pgconn.ConnectError
	if errors.As(d.Err, &ce) {
		c.password = ce.Config.Password
	}
}

func TestTracersAndHooksSeeNoToken(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	cfg := throughHosts(t, s)
	good := cfg.Hosts
	tracer := &connectTracer{password: "unset"}
	var writer string
	cfg.ConfigurePgx = func(cc *pgx.ConnConfig) error {
		cc.Tracer = tracer
		build := cc.BuildFrontend
		cc.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
			writer = fmt.Sprintf("%+v %#v", w, w)
			return build(r, w)
		}
		return nil
	}
	cfg.Hosts = []azurepg.Host{scripted(t, func(int64, net.Conn) {})} // hangs up
	if err := doors["database/sql"](t.Context(), cfg); err == nil {
		t.Fatal("connected")
	}
	if tracer.password != "" {
		t.Errorf("the tracer saw a password of %d bytes", len(tracer.password))
	}
	cfg.Hosts = good
	if err := doors["database/sql"](t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, token := range s.Entra.Tokens() {
		if strings.Contains(writer, token) {
			t.Error("the hook's writer prints the token")
		}
	}
}

func TestHooksCannotLowerTheFloor(t *testing.T) {
	t.Run("RequireAuth in AfterNetConnect", func(t *testing.T) {
		rec := azurepgtest.Record(t, azurepgtest.AsksMD5)
		cfg := toRecorder(t, rec, "verify-full")
		cfg.ConfigurePgx = func(cc *pgx.ConnConfig) error {
			cc.AfterNetConnect = func(_ context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
				config.RequireAuth = ""
				return conn, nil
			}
			return nil
		}
		if err := doors["database/sql"](t.Context(), cfg); err == nil {
			t.Error("connected")
		}
		wantNothing(t, rec)
	})
	for _, mode := range []string{"verify-full", "verify by code"} {
		t.Run("TLSConfig after BeforeConnect, "+mode, func(t *testing.T) {
			rec := azurepgtest.Record(t, azurepgtest.AsksPassword)
			cfg := toRecorder(t, rec, "verify-full")
			if mode == "verify by code" {
				cfg.SSLRootCert = ""
				cfg.TLSConfig = &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return errors.New("wrong pin") }}
			}
			c, err := azurepg.NewConnector(cfg)
			if err != nil {
				t.Fatal(err)
			}
			config, err := c.PoolConfig()
			if err != nil {
				t.Fatal(err)
			}
			config.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
				if err := c.BeforeConnect(ctx, cc); err != nil {
					return err
				}
				cc.TLSConfig.ServerName = "changed for this connect alone"
				cc.TLSConfig = &tls.Config{InsecureSkipVerify: true}
				return nil
			}
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if err := pool.Ping(t.Context()); err == nil {
				t.Error("connected")
			}
			wantNothing(t, rec)
			if mode == "verify-full" {
				_ = doors["database/sql"](t.Context(), cfg)
				if len(rec.Passwords()) == 0 {
					t.Error("a change to one connect's TLSConfig reached another connect")
				}
			}
		})
	}
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
