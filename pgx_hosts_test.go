package azurepg_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// scripted starts a server that agrees on TLS, reads the start-up packet and
// hands the n-th connection, counted from 1, to f, which then may do as it likes.
func scripted(t *testing.T, f func(n int64, conn net.Conn)) azurepg.Host {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var n atomic.Int64
	serve := func(raw net.Conn) {
		defer func() { _ = raw.Close() }()
		if _, err := io.ReadFull(raw, make([]byte, 8)); err != nil { // SSLRequest
			return
		}
		if _, err := raw.Write([]byte("S")); err != nil {
			return
		}
		conn := tls.Server(raw, config)
		if conn.Handshake() != nil {
			return
		}
		readMessage(conn) // start-up packet, or a cancel request
		f(n.Add(1), conn)
		_ = conn.Close()
	}
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go serve(raw)
		}
	}()
	return azurepg.Host{Name: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
}

func readMessage(conn net.Conn) []byte {
	b := make([]byte, 8192)
	n, _ := conn.Read(b)
	return b[:n]
}

func send(conn net.Conn, messages ...pgproto3.BackendMessage) {
	for _, m := range messages {
		b, err := m.Encode(nil)
		if err != nil {
			panic(err)
		}
		_, _ = conn.Write(b)
	}
}

func fatal(code string) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "refused"}
}

// throughHosts is a Config for s behind the hosts in first, without verification.
func throughHosts(t *testing.T, s *azurepgtest.Server, first ...azurepg.Host) *azurepg.Config {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(t.Name()))
	app := s.AddServicePrincipal(name[max(0, len(name)-63):]) // the longest name of a role
	cfg, err := azurepg.ParseDSN(bySecret(s, app))
	if err != nil {
		t.Fatal(err)
	}
	cfg.SSLMode, cfg.SSLRootCert = "require", ""
	cfg.Hosts = append(first, cfg.Hosts...)
	return cfg
}

// executor runs a statement on one and the same connection.
type executor func(sql string) error

// oneConnection opens a connection through each door of pgx.
func oneConnection(t *testing.T, cfg *azurepg.Config, door string) executor {
	t.Helper()
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if door == "database/sql" {
		conn, err := openConnector(t, c).Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return func(sql string) error { _, err := conn.ExecContext(t.Context(), sql); return err }
	}
	pool := openPool(t, c)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Release)
	return func(sql string) error { _, err := conn.Exec(t.Context(), sql); return err }
}

// When a server hangs up in the middle of a login, pgx winds that connection up
// in a goroutine of its own: it dials a cancel request, and then writes and closes.
func TestFailedHostDoesNotReachIntoTheNextOnesSession(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	for _, door := range []string{"database/sql", "pgxpool"} {
		t.Run(door, func(t *testing.T) {
			cancelled, ended := make(chan struct{}), make(chan struct{})
			host := scripted(t, func(n int64, conn net.Conn) {
				if n == 1 {
					return // hangs up: a proxy without a server behind it
				}
				<-cancelled // keeps the one who winds up waiting until the session below stands
				_ = conn.Close()
				close(ended)
			})
			exec := oneConnection(t, throughHosts(t, s, host), door)
			if err := exec("select 1"); err != nil {
				t.Fatal(err)
			}
			close(cancelled)
			<-ended
			for range 50 { // while the first connection is being closed
				if err := exec("select pg_sleep(0.01)"); err != nil {
					t.Fatalf("the good session was disturbed: %v", err)
				}
			}
		})
	}
}

func TestFailedHostDoesNotTakeTheNextOnesPassword(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	for _, door := range []string{"database/sql", "pgxpool"} {
		t.Run(door, func(t *testing.T) {
			windingUp := make(chan struct{}, 10)
			first := scripted(t, func(n int64, _ net.Conn) {
				if n > 1 {
					windingUp <- struct{}{}
				}
			})
			got := make(chan string, 10)
			second := scripted(t, func(_ int64, conn net.Conn) {
				<-windingUp
				send(conn, &pgproto3.AuthenticationCleartextPassword{})
				got <- string(readMessage(conn))
				send(conn, fatal("28P01"))
			})
			cfg := throughHosts(t, s, first, second)
			cfg.ConnectTimeout = time.Minute
			if err := doors[door](t.Context(), cfg); err == nil {
				t.Fatal("connected")
			}
			message := <-got
			isToken := func(token string) bool { return strings.Contains(message, token) }
			if !strings.HasPrefix(message, "p") || !slices.ContainsFunc(s.Entra.Tokens(), isToken) {
				t.Errorf("the second host got %.20q; want a password message with the token", message)
			}
		})
	}
}

func TestRefusalIsJudgedByTheHostThatRefused(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	askedThenFull := func(_ int64, conn net.Conn) {
		send(conn, &pgproto3.AuthenticationCleartextPassword{})
		readMessage(conn)
		send(conn, fatal("53300"))
	}
	for _, door := range loginDoors {
		t.Run(door, func(t *testing.T) {
			first := scripted(t, askedThenFull)
			second := scripted(t, func(_ int64, conn net.Conn) { send(conn, fatal("28000")) }) // pg_hba
			cfg := throughHosts(t, s)
			cfg.Hosts = []azurepg.Host{first, second}
			keep, err := azurepg.NewConnector(cfg) // the token cache lives as long as somebody's Connector
			if err != nil {
				t.Fatal(err)
			}
			defer runtime.KeepAlive(keep)
			before := s.Entra.TokenRequests()
			for range 3 {
				if err := doors[door](t.Context(), cfg); err == nil {
					t.Fatal("connected")
				}
			}
			if got := s.Entra.TokenRequests() - before; got > 1 {
				t.Errorf("%d token requests; want 1: no token was refused", got)
			}
		})
	}
}

// A host that is not the right one (target_session_attrs) has been sent the
// password, and the next one must get it as well.
func TestEveryHostThatIsTriedGetsThePassword(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	for _, row := range []struct {
		attrs  string
		logins int
		good   bool
	}{
		{"primary", 1, true},
		{"read-write", 1, true},
		{"standby", 2, false},
		{"prefer-standby", 3, true}, // both, and then the first one that will do
	} {
		for _, door := range loginDoors {
			t.Run(row.attrs+", "+door, func(t *testing.T) {
				cfg := throughHosts(t, s)
				cfg.TargetSessionAttrs = row.attrs
				cfg.Hosts = append(cfg.Hosts, azurepg.Host{Name: "127.0.0.1", Port: cfg.Hosts[0].Port})
				cfg.Hosts[0].Name = "127.0.0.1" // localhost may have two addresses
				before, refused := s.Postgres.Logins(), s.Postgres.Refusals()
				err := doors[door](t.Context(), cfg)
				if (err == nil) != row.good {
					t.Errorf("got %v; want success %v", err, row.good)
				}
				if got := s.Postgres.Logins() - before; got != row.logins || s.Postgres.Refusals() != refused {
					t.Errorf("%d logins, %d refusals; want %d and 0", got, s.Postgres.Refusals()-refused, row.logins)
				}
			})
		}
	}
}

func TestHostaddrIsDialledAndTheNameVerified(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("hostaddr-app")
	cfg, err := azurepg.ParseDSN(bySecret(s, app, "hostaddr", "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wantUser(t, openConnector(t, c), app.Name)

	unresolved := throughHosts(t, s)
	unresolved.Hosts[0].Name, unresolved.Hosts[0].Addr = "db.invalid", "127.0.0.1"
	if c, err = azurepg.NewConnector(unresolved); err != nil {
		t.Fatal(err)
	}
	own, err := pgxpool.ParseConfig("host=db.invalid dbname=postgres")
	if err != nil {
		t.Fatal(err)
	}
	own.BeforeConnect = c.BeforeConnect
	pool, err := pgxpool.NewWithConfig(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("a pool configuration of one's own: %v", err)
	}
	cfg.Hosts[0].Name = "db.example.com" // not in the certificate
	if err := doors["database/sql"](t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "db.example.com") {
		t.Errorf("another name: %v; want a complaint about db.example.com", err)
	}
}

func TestOnlyTheAddressesOfTheDSNAreDialled(t *testing.T) {
	noAzure(t)
	cfg := throughHosts(t, sharedAzure(t))
	cfg.Hosts = []azurepg.Host{{Name: "db.invalid", Port: 5001, Addr: "127.0.0.1"}, {Name: "db.invalid", Port: 5002, Addr: "127.0.0.2"}}
	var dialled []string
	cfg.ConfigurePgx = func(cc *pgx.ConnConfig) error {
		cc.DialFunc = func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			return nil, errors.New("not today")
		}
		return nil
	}
	if err := doors["database/sql"](t.Context(), cfg); err == nil {
		t.Fatal("connected")
	}
	if got := strings.Join(dialled, " "); got != "127.0.0.1:5001 127.0.0.2:5002" {
		t.Errorf("dialled %s", got)
	}
}
