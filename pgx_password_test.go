package azurepg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestServerThatRepeatsTheTokenIsNotQuoted(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	cfg := throughHosts(t, s)
	cfg.Hosts = []azurepg.Host{scripted(t, func(_ int64, conn net.Conn) {
		send(conn, &pgproto3.AuthenticationCleartextPassword{})
		sent := strings.Trim(string(readMessage(conn)[5:]), "\x00")
		send(conn, &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "08P01", Message: "no\x1b[31m\r" + sent, Detail: sent, Hint: sent})
	})}
	for _, door := range loginDoors {
		err := doors[door](t.Context(), cfg)
		var server interface{ SQLState() string } // of each base
		if !errors.As(err, &server) {
			t.Fatalf("%s: got %v; want the server's error", door, err)
		}
		text := fmt.Sprintf("%v %+v %+v", err, err, server)
		for _, token := range s.Entra.Tokens() {
			if strings.Contains(text, token) {
				t.Errorf("%s: the token is in %s", door, text)
			}
		}
		if door != "pgxpool" && strings.ContainsAny(err.Error(), "\x1b\r\n") {
			t.Errorf("control characters in %q", err)
		}
	}
}

// slowWriter writes in pieces, as a user's BuildFrontend hook may.
type slowWriter struct {
	w     io.Writer
	piece int // how long they are
}

func (s slowWriter) Write(p []byte) (int, error) {
	written := 0
	for piece := range slices.Chunk(p, s.piece) {
		n, err := s.w.Write(piece)
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

// However pgx's messages are cut up, and though a piece of any of them may begin like a
// password message, it is known whether the token was sent and that the login is not over.
func TestPasswordWrittenInPiecesIsStillThePassword(t *testing.T) {
	for _, row := range []struct {
		name  string
		piece int
		asks  int // how often the server asks for the password
	}{
		{"long", 1000, 1}, {"short", 4, 1}, {"bytes", 1, 1}, {"not asked", 1, 0}, {"asked twice", 1, 2}, {"asked twice, whole", 100000, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked := make(chan struct{}, 10)
			second := scripted(t, func(int64, net.Conn) { asked <- struct{}{} })
			token := strings.Repeat("p-", 1000)
			first := scripted(t, func(_ int64, conn net.Conn) {
				var got string
				for _, answer := range []string{token + "\x00", "p\x00\x00\x00\x05\x00"}[:row.asks] {
					send(conn, &pgproto3.AuthenticationCleartextPassword{})
					for !strings.HasSuffix(got, answer) {
						more := readMessage(conn)
						if len(more) == 0 {
							return
						}
						got += string(more)
					}
				}
				send(conn, fatal("28000"))
				_, _ = io.Copy(io.Discard, conn)
			})
			cfg := &azurepg.Config{
				Hosts: []azurepg.Host{first, second}, User: "app", Database: "password", SSLMode: "require", Credential: giving(token),
				ConfigurePgx: func(cc *pgx.ConnConfig) error {
					build := cc.BuildFrontend
					cc.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
						return build(r, slowWriter{w, row.piece})
					}
					return nil
				},
			}
			err := doors["database/sql"](t.Context(), cfg)
			var refused *azurepg.AuthError
			if !errors.As(err, &refused) || strings.Contains(err.Error(), "was not sent") != (row.asks == 0) {
				t.Errorf("got %v; want an AuthError that knows whether the token was sent", err)
			}
			if len(asked) > 0 {
				t.Error("the second host was asked")
			}
		})
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
