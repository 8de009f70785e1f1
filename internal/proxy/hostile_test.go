package proxy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/proxy"
)

func TestGarbageIsHungUpOn(t *testing.T) {
	leavesNothing(t)
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{StartupTimeout: patience})
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	noise[0] = 0x80 // a length of gigabytes
	for name, packet := range map[string][]byte{
		"noise":          noise,
		"TLS handshake":  append([]byte{0x16, 3, 1, 0, 200, 1}, noise[:200]...),
		"HTTP":           []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"zeros":          make([]byte, 100),
		"too short":      {0, 0, 0, 7, 0, 3, 0},
		"oversized":      {0, 0, 0x27, 0x11, 0, 3, 0, 0},
		"no end of name": {0, 0, 0, 8, 0, 3, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t)
			write(t, conn, packet)
			wantEnd(t, conn)
		})
	}
	if got := s.metric(t, "sessions_total"); got != "0" {
		t.Errorf("%s sessions; want none", got)
	}
}

func TestSlowClientsAreCutAtTheStartupTimeout(t *testing.T) {
	leavesNothing(t)
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{StartupTimeout: 50 * time.Millisecond})
	for name, sent := range map[string][]byte{
		"nothing": nil, "half a length": goodPacket[:2], "half a packet": goodPacket[:11], "TLS asked for": sslRequest,
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t)
			write(t, conn, sent)
			if len(sent) == len(sslRequest) {
				_, _ = io.ReadFull(conn, make([]byte, 1))
			}
			wantEnd(t, conn)
		})
	}
	t.Run("byte by byte", func(t *testing.T) {
		conn := s.dial(t)
		for _, b := range bytes.Repeat(goodPacket[4:], 1000) {
			if _, err := conn.Write([]byte{b &^ 0xff}); err != nil {
				return // it was cut
			}
			time.Sleep(time.Millisecond) // as such clients do
		}
		t.Error("it was never cut")
	})
}

func TestClientsBeyondTheLimitAreTold(t *testing.T) {
	leavesNothing(t)
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{MaxConnections: 3, StartupTimeout: patience})
	var in []net.Conn
	for range 3 {
		conn := s.dial(t)
		enter(t, conn)
		in = append(in, conn)
	}
	late := s.dial(t)
	write(t, late, goodPacket)
	wantError(t, late, "53300")

	key := s.dial(t)
	write(t, key, cancelPacket([]byte("no key at all"))) // needs no place
	wantEnd(t, key)

	var silent []net.Conn
	for range 3 {
		silent = append(silent, s.dial(t))
	}
	eventually(t, "all doors are taken", func() bool { return s.metric(t, "connections") == "6" })
	wantError(t, s.dial(t), "53300") // before a word of its own

	for _, conn := range append(in, silent...) {
		_ = conn.Close()
	}
	eventually(t, "the places are free", func() bool { return s.metric(t, "connections") == "0" })
	enter(t, s.dial(t))
}

func TestThousandsOfConnectsLeaveNothing(t *testing.T) {
	leavesNothing(t)
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{MaxConnections: 20, StartupTimeout: patience})
	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			for j := range 150 {
				conn, err := net.Dial("tcp", s.addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.SetDeadline(time.Now().Add(patience))
				switch (i + j) % 4 {
				case 0:
					_, _ = conn.Write(goodPacket[:j%len(goodPacket)])
				case 1:
					_, _ = conn.Write(sslRequest)
				case 2:
					_, _ = conn.Write(cancelPacket([]byte("12345678")))
				}
				_ = conn.Close()
			}
		})
	}
	clients.Wait()
	eventually(t, "all are served", func() bool {
		return s.metric(t, "connections_accepted_total") == "3000" && s.metric(t, "connections") == "0"
	})
	enter(t, s.dial(t))
}

// How clients leave.
var exits = map[string]func(*net.TCPConn){
	"closing":      func(c *net.TCPConn) { _ = c.Close() },
	"resetting":    func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
	"half-closing": func(c *net.TCPConn) { _ = c.CloseWrite() },
}

func TestClientsMayVanishInEveryState(t *testing.T) {
	leavesNothing(t)
	azure := azurepgtest.Start(t)
	s := serve(t, azure.DSN("app"), proxy.Options{StartupTimeout: patience})
	states := map[string]func(*testing.T, *net.TCPConn){
		"connected":     func(*testing.T, *net.TCPConn) {},
		"half a length": func(t *testing.T, c *net.TCPConn) { write(t, c, goodPacket[:3]) },
		"half a packet": func(t *testing.T, c *net.TCPConn) { write(t, c, goodPacket[:12]) },
		"TLS asked for": func(t *testing.T, c *net.TCPConn) { write(t, c, sslRequest) },
		"started":       func(t *testing.T, c *net.TCPConn) { write(t, c, goodPacket) },
		"let in":        func(t *testing.T, c *net.TCPConn) { enter(t, c) },
		"half a query": func(t *testing.T, c *net.TCPConn) {
			enter(t, c)
			write(t, c, query(t, "select 1")[:7])
		},
		"in a transaction": func(t *testing.T, c *net.TCPConn) {
			enter(t, c)
			write(t, c, query(t, "begin"))
			hear(t, c, 'Z')
		},
		"a query under way": func(t *testing.T, c *net.TCPConn) {
			enter(t, c)
			write(t, c, query(t, "select pg_sleep(0.3)"))
		},
		"an answer under way": func(t *testing.T, c *net.TCPConn) {
			enter(t, c)
			write(t, c, query(t, "select repeat('x', 1000) from generate_series(1, 20000)"))
			hear(t, c, 'D')
		},
		"a copy under way": func(t *testing.T, c *net.TCPConn) {
			enter(t, c)
			write(t, c, query(t, "create temp table t (t text); copy t from stdin"))
			hear(t, c, 'G')
			write(t, c, []byte{'d', 0, 0, 0, 100, 'x'})
		},
	}
	for state, reach := range states {
		for exit, leave := range exits {
			t.Run(state+", "+exit, func(t *testing.T) {
				conn := s.dial(t)
				reach(t, conn)
				leave(conn)
				if exit == "half-closing" {
					wantEnd(t, conn) // whatever else it hears
				}
				eventually(t, "no session is left", func() bool {
					return s.metric(t, "connections") == "0" && azure.Postgres.Connections() == 0
				})
			})
		}
	}
}

func TestAClientThatLeavesEndsItsLogin(t *testing.T) {
	for at := accepted; at < ready; at++ {
		for exit, leave := range exits {
			t.Run(at.String()+", "+exit, func(t *testing.T) {
				leavesNothing(t)
				fake, cfg := startFake(t, at, true)
				s := serveConfig(t, cfg, proxy.Options{})
				conn := s.dial(t)
				write(t, conn, goodPacket)
				eventually(t, "the login hangs", func() bool { return fake.reached.Load() == 1 })
				leave(conn)
				eventually(t, "the proxy gives it up", func() bool { return fake.left.Load() == 1 && s.metric(t, "connections") == "0" })
			})
		}
	}
}

func TestServersMayVanishInEveryState(t *testing.T) {
	for at := accepted; at <= halfway; at++ {
		t.Run(at.String(), func(t *testing.T) {
			leavesNothing(t)
			_, cfg := startFake(t, at, false)
			s := serveConfig(t, cfg, proxy.Options{})
			conn := s.dial(t)
			write(t, conn, goodPacket)
			if at < ready {
				if said := wantError(t, conn, "08001"); !strings.Contains(said.Message, "no connection to 127.0.0.1:") {
					t.Errorf("the client is told %q", said.Message)
				}
			} else {
				if hear(t, conn, 'Z') == nil {
					t.Error("it was not let in")
				}
				wantEnd(t, conn)
			}
			eventually(t, "nothing is left", func() bool { return s.metric(t, "connections") == "0" })
		})
	}
}

func TestSilentServersEndWithTheConnectTimeout(t *testing.T) {
	for at := accepted; at < ready; at++ {
		t.Run(at.String(), func(t *testing.T) {
			leavesNothing(t)
			_, cfg := startFake(t, at, true)
			cfg.ConnectTimeout = 200 * time.Millisecond
			s := serveConfig(t, cfg, proxy.Options{})
			conn := s.dial(t)
			write(t, conn, goodPacket)
			if said := wantError(t, conn, "08001"); !strings.Contains(said.Hint, "look at the server's firewall rules") {
				t.Errorf("the client is told %q, %q", said.Message, said.Hint)
			}
		})
	}
}

func TestNoEvilServerGetsTheToken(t *testing.T) {
	for _, evil := range []azurepgtest.Evil{
		azurepgtest.SkipsNegotiation, azurepgtest.RefusesTLS, azurepgtest.SelfSigned, azurepgtest.OtherName, azurepgtest.OldTLS,
		azurepgtest.Downgrades, azurepgtest.AsksMD5, azurepgtest.AsksSCRAM, azurepgtest.AsksNothing, azurepgtest.AsksPassword,
	} {
		t.Run(string(evil), func(t *testing.T) {
			r := azurepgtest.Record(t, evil)
			host, port, _ := net.SplitHostPort(r.Addr)
			cfg, err := azurepg.ParseDSN("host=" + host + " port=" + port + " user=app dbname=postgres sslrootcert=" + r.CAFile)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Credential = azurepgtest.NewCredential("app")
			s := serveConfig(t, cfg, proxy.Options{})
			conn := s.dial(t)
			write(t, conn, goodPacket)
			if hear(t, conn, 'E') == nil {
				t.Error("the client was told nothing")
			}
			got := len(r.Passwords())
			if want := evil == azurepgtest.AsksPassword; (got > 0) != want {
				t.Errorf("it got %d tokens", got)
			}
		})
	}
}

func TestACancelRequestWithAWrongKeyGoesNowhere(t *testing.T) {
	leavesNothing(t)
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{})
	conn := s.dial(t)
	key := enter(t, conn)
	sleep(t, conn)
	wrong := bytes.Clone(key)
	wrong[len(wrong)-1]++
	for _, k := range [][]byte{wrong, key[:4], nil, bytes.Repeat([]byte{7}, 200)} {
		c := s.dial(t)
		write(t, c, cancelPacket(k))
		wantEnd(t, c)
	}
	if passed, stray := s.metric(t, "cancel_requests_total"), s.metric(t, "cancel_requests_stray_total"); passed != "0" || stray != "4" {
		t.Errorf("%s requests were passed on, and %s were stray; want 0 and 4", passed, stray)
	}
	c := s.dial(t)
	write(t, c, cancelPacket(key))
	wantEnd(t, c)
	if said := hear(t, conn, 'E'); !bytes.Contains(said, []byte("57014")) {
		t.Errorf("with the right key the query ended with %q", said)
	}
	_ = conn.Close()
	eventually(t, "the session is gone", func() bool { return s.metric(t, "sessions") == "0" })
	c = s.dial(t)
	write(t, c, cancelPacket(key))
	wantEnd(t, c)
	if stray := s.metric(t, "cancel_requests_stray_total"); stray != "5" {
		t.Errorf("after the session's end its key still counts: %s stray requests", stray)
	}
}

func TestAHalfClosedClientHearsItsAnswers(t *testing.T) {
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{})
	conn := s.dial(t)
	enter(t, conn)
	write(t, conn, query(t, "select pg_sleep(0.1), repeat('x', 100000)"))
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := len(hear(t, conn, 'D')); got < 100000 {
		t.Errorf("the row has %d bytes; want more than 100000", got)
	}
	wantEnd(t, conn)
}

func TestIdleSessionsEndAndBusyOnesDoNot(t *testing.T) {
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{IdleTimeout: 100 * time.Millisecond})
	busy, inTransaction := s.dial(t), s.dial(t)
	enter(t, busy)
	write(t, busy, query(t, "select pg_sleep(0.7)"))
	enter(t, inTransaction)
	write(t, inTransaction, query(t, "begin"))
	hear(t, inTransaction, 'Z')
	idle := s.dial(t)
	enter(t, idle)
	wantError(t, idle, "57P05")
	if hear(t, busy, 'D') == nil {
		t.Error("a query that took its time was cut")
	}
	wantError(t, busy, "57P05") // now it is idle
	write(t, inTransaction, query(t, "commit"))
	if hear(t, inTransaction, 'Z') == nil {
		t.Error("a session in a transaction was cut")
	}
}

func TestDrainEndsSessionsBetweenMessages(t *testing.T) {
	leavesNothing(t)
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{DrainTimeout: -1})
	busy := s.dial(t)
	enter(t, busy)
	sleep(t, busy)
	deaf := s.dial(t) // reads nothing of an answer of 100 MB
	enter(t, deaf)
	write(t, deaf, query(t, "select repeat('x', 1000) from generate_series(1, 100000)"))
	hear(t, deaf, 'D')
	s.drain()
	wantError(t, busy, "57P01")
	if err := <-s.done; err != nil {
		t.Error(err)
	}
	s.done <- nil
	eventually(t, "the server has ended the query", func() bool {
		conn, err := azure.Postgres.Superuser(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		var n int
		if err := conn.QueryRow(t.Context(), "select count(*) from pg_stat_activity where wait_event = 'PgSleep'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
}

// A login that is under way when the proxy ends is told so.
func TestDrainEndsLogins(t *testing.T) {
	leavesNothing(t)
	fake, cfg := startFake(t, asking, true)
	s := serveConfig(t, cfg, proxy.Options{DrainTimeout: -1})
	conn, mute := s.dial(t), s.dial(t)
	write(t, conn, goodPacket)
	eventually(t, "the login hangs", func() bool { return fake.reached.Load() == 1 && s.metric(t, "connections") == "2" })
	s.drain()
	wantError(t, conn, "57P03")
	wantEnd(t, mute)
}

func TestAfterARefusalNoOtherHostGetsTheToken(t *testing.T) {
	azure := azurepgtest.Start(t)
	azure.AddServicePrincipal("app")
	other := azurepgtest.Record(t, azurepgtest.AsksPassword)
	cfg, err := azurepg.ParseDSN(azure.DSN("app"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.User = "nobody"
	second, port, _ := net.SplitHostPort(other.Addr)
	cfg.Hosts = append(cfg.Hosts, azurepg.Host{Name: second, Port: portNumber(t, port)})
	s := serveConfig(t, cfg, proxy.Options{})
	conn := s.dial(t)
	write(t, conn, goodPacket)
	wantError(t, conn, "28P01")
	if n := other.Connections(); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

// 53300 of the server is relayed with its words, and azurepg's advice.
func TestAFullServerIsRelayed(t *testing.T) {
	azure := azurepgtest.Start(t)
	s := serve(t, azure.DSN("app"), proxy.Options{})
	enter(t, s.dial(t))
	azure.Postgres.SetMaxConnections(1)
	_, err := pgx.Connect(t.Context(), s.dsn())
	var server interface{ SQLState() string }
	if !errors.As(err, &server) || server.SQLState() != "53300" {
		t.Fatalf("got %v; want SQLSTATE 53300", err)
	}
	conn := s.dial(t)
	write(t, conn, goodPacket)
	said := wantError(t, conn, "53300")
	if !strings.Contains(said.Message, "remaining connection slots") || !strings.Contains(said.Hint, "raise max_connections") {
		t.Errorf("the client is told %q, %q", said.Message, said.Hint)
	}
}
