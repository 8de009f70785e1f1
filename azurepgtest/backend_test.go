package azurepgtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// lateConn is a connection on a busy machine: its first write returns late.
type lateConn struct {
	net.Conn
	written bool
}

func (c *lateConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if !c.written {
		c.written = true
		time.Sleep(60 * time.Millisecond) // pgx reads in a goroutine after 15
	}
	return n, err
}

// pgx then reads ahead in a goroutine of its own, which the front must not let run
// into the session.
func TestFirstAnswerReachesTheClientAlsoOnABusyMachine(t *testing.T) {
	s := Start(t)
	app := s.AddServicePrincipal("app")
	dial := s.Postgres.backend.config.DialFunc
	s.Postgres.backend.config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &lateConn{Conn: conn}, nil
	}
	config, err := pgx.ParseConfig("host=localhost user=app dbname=postgres sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(s.Postgres.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config.Host, config.Port, config.Password = s.Postgres.Host, uint16(s.Postgres.Port), s.Entra.Mint(app, nil)
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: s.Postgres.Host}
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(ctx, "select 1"); err != nil {
			t.Errorf("the first statement: %v", err)
		}
		conn.Close(ctx)
		cancel()
	}
}
