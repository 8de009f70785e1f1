package azurepg_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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
	"github.com/jackc/pgx/v5/pgconn"
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
			cfg.ConnectTimeout = 5 * time.Second
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
type slowWriter struct{ w io.Writer }

func (s slowWriter) Write(p []byte) (int, error) {
	written := 0
	for piece := range slices.Chunk(p, 1000) {
		n, err := s.w.Write(piece)
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

func TestPasswordWrittenInPiecesIsStillThePassword(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	asked := make(chan struct{}, 10)
	second := scripted(t, func(int64, net.Conn) { asked <- struct{}{} })
	cfg := throughHosts(t, s)
	cfg.Hosts = []azurepg.Host{scripted(t, func(_ int64, conn net.Conn) {
		send(conn, &pgproto3.AuthenticationCleartextPassword{})
		for n := 0; n < 1200; { // all of the pieces
			n += len(readMessage(conn))
		}
		send(conn, fatal("28000"))
	}), second}
	cfg.ConfigurePgx = func(cc *pgx.ConnConfig) error {
		build := cc.BuildFrontend
		cc.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend { return build(r, slowWriter{w}) }
		return nil
	}
	err := doors["database/sql"](t.Context(), cfg)
	var refused *azurepg.AuthError
	if !errors.As(err, &refused) || strings.Contains(err.Error(), "was not sent") {
		t.Errorf("got %v; want an AuthError of a token that was sent", err)
	}
	if len(asked) > 0 {
		t.Error("the second host was asked")
	}
}

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
