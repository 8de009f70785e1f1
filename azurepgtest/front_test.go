package azurepgtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestDirectTLSNeedsALPN(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("direct")
	conn, err := loginWith(t.Context(), shared.Postgres, app.Name, shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) {
		c.SSLNegotiation = "direct"
		c.TLSConfig.NextProtos = []string{"postgresql"}
	})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(context.Background())
	if _, err := loginWith(t.Context(), shared.Postgres, app.Name, shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) {
		c.SSLNegotiation = "direct"
		c.TLSConfig.NextProtos = nil
	}); err == nil {
		t.Error("direct TLS without ALPN: logged in")
	}
}

// negotiate asks the server of conn before the login, and wants that answer.
func negotiate(t *testing.T, conn net.Conn, request pgproto3.FrontendMessage, want byte) {
	t.Helper()
	packet, _ := request.Encode(nil)
	conn.Write(packet)
	got := make([]byte, 1)
	if _, err := io.ReadFull(conn, got); err != nil || got[0] != want {
		t.Fatalf("%T: got %q, %v; want %q", request, got, err, want)
	}
}

// shownAt is the certificate that is shown at an address, or nil. By it an address that
// has become another server's since is told from one that is still served.
func shownAt(address string) *x509.Certificate {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

func TestGSSIsDeclined(t *testing.T) {
	t.Parallel()
	conn, err := net.Dial("tcp", shared.Postgres.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	negotiate(t, conn, &pgproto3.GSSEncRequest{}, 'N')
	negotiate(t, conn, &pgproto3.SSLRequest{}, 'S')
	if err := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake(); err != nil {
		t.Error(err)
	}
}

func TestTLSVersionsAreThoseSet(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	dial := func(lowest, highest uint16) (uint16, error) {
		conn, err := loginWith(t.Context(), s.Postgres, "app", s.Entra.Mint(app, nil), func(c *pgx.ConnConfig) {
			c.TLSConfig.MinVersion, c.TLSConfig.MaxVersion = lowest, highest
		})
		if err != nil {
			return 0, err
		}
		defer conn.Close(context.Background())
		return conn.PgConn().Conn().(*tls.Conn).ConnectionState().Version, nil
	}
	for _, tt := range []struct {
		name                     string
		lowest, highest          uint16
		oldClient, client, newer uint16 // what clients of TLS 1.1 at most, of all versions and of TLS 1.3 get; 0 is a failure
	}{
		{"default", 0, 0, 0, tls.VersionTLS13, tls.VersionTLS13},
		{"TLS 1.2 at most", 0, tls.VersionTLS12, 0, tls.VersionTLS12, 0},
		{"TLS 1.3 at least", tls.VersionTLS13, 0, 0, tls.VersionTLS13, tls.VersionTLS13},
		{"too old", tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS11, tls.VersionTLS11, 0},
		{"default again", 0, 0, 0, tls.VersionTLS13, tls.VersionTLS13},
	} {
		s.Postgres.SetTLSVersions(tt.lowest, tt.highest)
		for _, client := range []struct {
			name                  string
			lowest, highest, want uint16
		}{
			{"TLS 1.1 at most", tls.VersionTLS10, tls.VersionTLS11, tt.oldClient},
			{"any TLS", tls.VersionTLS10, 0, tt.client},
			{"TLS 1.3 at least", tls.VersionTLS13, 0, tt.newer},
		} {
			got, err := dial(client.lowest, client.highest)
			if got != client.want {
				t.Errorf("server: %s, client: %s: got %s, %v; want %s", tt.name, client.name, tls.VersionName(got), err, tls.VersionName(client.want))
			}
		}
	}
}
