package azurepg_test

import (
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// impostor listens where the server should, and shows now the server's certificate and
// now another one. Whoever takes it for the server is asked for the token.
type impostor struct {
	host         azurepg.Host
	certs        []tls.Certificate // the first is the server's
	right, wrong atomic.Int32      // tokens that came for the first and for another one
}

func newImpostor(t *testing.T, certs ...tls.Certificate) *impostor {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &impostor{host: azurepg.Host{Name: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}, certs: certs}
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go p.ask(raw)
		}
	}()
	return p
}

func (p *impostor) ask(raw net.Conn) {
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(raw, make([]byte, 8)); err != nil { // SSLRequest
		return
	}
	if _, err := raw.Write([]byte("S")); err != nil {
		return
	}
	i := rand.IntN(len(p.certs))
	conn := tls.Server(raw, &tls.Config{Certificates: p.certs[i : i+1]})
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if b.Flush() != nil || b.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	if _, err := b.Receive(); err != nil {
		return
	}
	if i == 0 {
		p.right.Add(1)
	} else {
		p.wrong.Add(1)
	}
	b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "seen enough"})
	_ = b.Flush()
}

// However the file of sslrootcert is replaced, spoilt and emptied while many log in, the
// token goes to the server and to nobody else who stands in its place.
func TestNoTokenReachesAnImpostorWhileTheAuthorityIsRotated(t *testing.T) {
	ours, next, evil := azurepgtest.NewAuthority(t), azurepgtest.NewAuthority(t), azurepgtest.NewAuthority(t)
	for _, row := range []struct {
		mode  string
		certs []tls.Certificate
	}{
		{"verify-full", []tls.Certificate{ours.Server(), evil.Server(), ours.Server("db.example.com")}},
		{"verify-ca", []tls.Certificate{ours.Server(), evil.Server()}},
	} {
		files := tlsDir{t, t.TempDir()}
		files.put("ca", ours.PEM())
		p := newImpostor(t, row.certs...)
		cfg := &azurepg.Config{Hosts: []azurepg.Host{p.host}, User: "app", SSLMode: row.mode, SSLRootCert: files.file("ca"), Credential: giving(bearer)}
		var logins sync.WaitGroup
		for _, logIn := range longLivedTo(t, cfg) {
			for range 4 {
				logins.Go(func() {
					for range 50 {
						if err := logIn(t.Context()); err == nil {
							t.Error("connected")
						}
					}
				})
			}
		}
		done := make(chan struct{})
		go func() { logins.Wait(); close(done) }()
		contents := [][]byte{ours.PEM(), append(next.PEM(), ours.PEM()...), nil, []byte("garbage"), ours.PEM()[:200], append(ours.PEM(), next.PEM()[:300]...)}
		for i := 0; ; i++ {
			select {
			case <-done:
			default:
				files.put("ca", contents[i%len(contents)])
				continue
			}
			break
		}
		if right, wrong := p.right.Load(), p.wrong.Load(); wrong > 0 || right == 0 {
			t.Errorf("%s: the server got %d tokens, an impostor %d; want some and none", row.mode, right, wrong)
		}
	}
}

// longLivedTo are Connectors and a pool of cfg that are made once.
func longLivedTo(t *testing.T, cfg *azurepg.Config) []func(context.Context) error {
	t.Helper()
	var ways []func(context.Context) error
	for _, b := range bases {
		cfg := cfg.Clone()
		cfg.Base = b.base
		c := connectorOf(t, cfg)
		ways = append(ways, func(ctx context.Context) error {
			_, err := c.Connect(ctx)
			return err
		})
	}
	config, err := connectorOf(t, cfg).PoolConfig()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return append(ways, pool.Ping)
}

func connectorOf(t *testing.T, cfg *azurepg.Config) *azurepg.Connector {
	t.Helper()
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
