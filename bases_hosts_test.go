package azurepg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg"
)

// silences are hosts that say no more after some point of a login.
var silences = []silence{
	{"before the request for a password", "", func(net.Conn) {}},
	{"after the password", "", func(conn net.Conn) {
		send(conn, &pgproto3.AuthenticationCleartextPassword{})
		readMessage(conn)
	}},
	{"before it is ready", "", func(conn net.Conn) {
		send(conn, &pgproto3.AuthenticationCleartextPassword{})
		readMessage(conn)
		send(conn, &pgproto3.AuthenticationOk{})
	}},
	{"when asked what kind of server it is", "primary", letIn},
}

type silence struct {
	name, attrs string
	say         func(conn net.Conn)
}

// letIn takes a client through the login.
func letIn(conn net.Conn) {
	send(conn, &pgproto3.AuthenticationCleartextPassword{})
	readMessage(conn)
	send(conn, &pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "server_version", Value: "15.0"},
		&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
}

// silent is a host that falls silent. It notes that the client has come as far as its
// start-up packet, and that it has hung up.
func silent(t *testing.T, say func(net.Conn)) (host azurepg.Host, came, hungUp chan struct{}) {
	came, hungUp = make(chan struct{}), make(chan struct{})
	return scripted(t, func(n int64, conn net.Conn) {
		if n > 1 {
			return // pgx's cancel request
		}
		close(came)
		say(conn)
		for len(readMessage(conn)) > 0 {
		}
		close(hungUp)
	}), came, hungUp
}

func TestSilentServerEndsWithTheContextAndIsLeft(t *testing.T) {
	noAzure(t)
	patient := throughHosts(t, sharedAzure(t))
	if err := doors["database/sql"](t.Context(), patient); err != nil { // there is a token
		t.Fatal(err)
	}
	for _, silence := range silences {
		for _, door := range loginDoors {
			for _, limit := range []string{"ctx", "connect_timeout", "cancel"} {
				t.Run(silence.name+", "+door+", "+limit, func(t *testing.T) {
					t.Parallel()
					// On a busy machine the time can be up before the server is reached.
					for after := 100 * time.Millisecond; !leaves(t, patient.Clone(), silence, door, limit, after); after *= 3 {
						if after > 5*time.Second {
							t.Fatal("the server was never reached")
						}
					}
				})
			}
		}
	}
}

// leaves connects to a silent server until the limit strikes. It reports whether the
// client came there before.
func leaves(t *testing.T, cfg *azurepg.Config, silence silence, door, limit string, after time.Duration) bool {
	t.Helper()
	host, came, hungUp := silent(t, silence.say)
	cfg.Hosts, cfg.TargetSessionAttrs, cfg.ConnectTimeout = []azurepg.Host{host}, silence.attrs, time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	want := context.DeadlineExceeded
	switch limit {
	case "ctx":
		ctx, cancel = context.WithTimeout(ctx, after)
		defer cancel()
	case "connect_timeout":
		cfg.ConnectTimeout = after
	case "cancel":
		want = context.Canceled
		time.AfterFunc(after, cancel)
	}
	start := time.Now()
	if err := doors[door](ctx, cfg); !errors.Is(err, want) {
		t.Errorf("got %v; want %v", err, want)
	}
	if took := time.Since(start); took > after+10*time.Second {
		t.Errorf("took %v; want about %v", took, after)
	}
	select {
	case <-came:
	case <-time.After(100 * time.Millisecond):
		return false
	}
	select {
	case <-hungUp:
	case <-time.After(10 * time.Second):
		t.Error("the connection was left open")
	}
	return true
}

func TestFailOverGoesOnUntilAHostLetsUsIn(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	closed := refusing(t)
	for _, door := range loginDoors {
		t.Run(door, func(t *testing.T) {
			asked, left := make(chan string, 100), make(chan struct{})
			note := func(what string, f func(net.Conn)) azurepg.Host {
				return scripted(t, func(n int64, conn net.Conn) {
					if n == 1 {
						asked <- what
						f(conn)
					}
				})
			}
			starting := note("starting", func(conn net.Conn) { send(conn, fatal("57P03")) })
			md5 := note("md5", func(conn net.Conn) { send(conn, &pgproto3.AuthenticationMD5Password{}) })
			standby := note("read-only", func(conn net.Conn) {
				letIn(conn)
				readMessage(conn) // the question
				send(conn, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("x"), DataTypeOID: 25}}},
					&pgproto3.DataRow{Values: [][]byte{[]byte("on")}}, &pgproto3.CommandComplete{CommandTag: []byte("SHOW")}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
				for len(readMessage(conn)) > 0 {
				}
				close(left)
			})
			hangsUp := note("hangs up", func(net.Conn) {})
			cfg := throughHosts(t, s, closed, starting, md5, standby, hangsUp)
			cfg.TargetSessionAttrs = "read-write"
			before := s.Postgres.Logins()
			if err := doors[door](t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			close(asked)
			select {
			case <-left:
			case <-time.After(10 * time.Second):
				t.Error("the connection to a host that was not the right one was left open")
			}
			if got := fmt.Sprint(slices.Collect(func(yield func(string) bool) {
				for what := range asked {
					if !yield(what) {
						return
					}
				}
			})); got != "[starting md5 read-only hangs up]" || s.Postgres.Logins() == before {
				t.Errorf("asked %s, and %d logins", got, s.Postgres.Logins()-before)
			}
		})
	}
}

func TestNoOtherHostIsAskedOnceOneHasDecided(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	for _, code := range []string{"28P01", "28000", "3D000", "42501"} {
		for _, door := range loginDoors {
			t.Run(code+", "+door, func(t *testing.T) {
				second := make(chan struct{}, 10)
				cfg := throughHosts(t, s)
				cfg.Hosts = []azurepg.Host{scripted(t, func(_ int64, conn net.Conn) {
					send(conn, &pgproto3.AuthenticationCleartextPassword{})
					readMessage(conn)
					send(conn, fatal(code))
				}), scripted(t, func(int64, net.Conn) { second <- struct{}{} })}
				if err := doors[door](t.Context(), cfg); err == nil {
					t.Error("connected")
				}
				if len(second) > 0 {
					t.Error("the second host was asked")
				}
			})
		}
	}
}

// Tunnels and replicas have one name and port, and several addresses.
func TestHostsThatDifferInTheirAddressAreTriedEach(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	starting := scripted(t, func(_ int64, conn net.Conn) { send(conn, fatal("57P03")) })
	forward(t, fmt.Sprintf("127.0.0.2:%d", starting.Port), s.Postgres.Addr())
	cfg := throughHosts(t, s)
	cfg.Hosts = []azurepg.Host{{Name: "db.invalid", Port: starting.Port, Addr: "127.0.0.1"}, {Name: "db.invalid", Port: starting.Port, Addr: "127.0.0.2"}}
	for _, b := range bases {
		t.Run(b.name, func(t *testing.T) {
			if err := b.connect(t.Context(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
}

// forward passes connections on from one address to another.
func forward(t *testing.T, from, to string) {
	t.Helper()
	l, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	pass := func(from, to net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = from.Close(), to.Close()
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go pass(client, server)
			go pass(server, client)
		}
	}()
}
