package proxy_test

import (
	"net"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/proxy"
)

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
