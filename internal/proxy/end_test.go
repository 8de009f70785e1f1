package proxy_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/internal/proxy"
	"github.com/azurepg/azurepg/internal/transcript"
)

func TestIdleSessionsEndAndBusyOnesDoNot(t *testing.T) {
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{IdleTimeout: 500 * time.Millisecond})
	// Each packet with a statement at once: no time to be idle before it.
	busy, inTransaction := s.dial(t), s.dial(t)
	write(t, busy, append(bytes.Clone(goodPacket), query(t, "select pg_sleep(1.5)")...))
	write(t, inTransaction, append(bytes.Clone(goodPacket), query(t, "begin")...))
	hear(t, inTransaction, 'C')
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

// The server takes no cancel request, for which there are 10 s else.
func TestASecondSignalWaitsForNoServer(t *testing.T) {
	fake, cfg := startFake(t, ready, true)
	var said transcript.Transcript
	s := serveConfig(t, cfg, proxy.Options{DrainTimeout: time.Hour, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	conn := s.dial(t)
	enter(t, conn)
	write(t, conn, query(t, "select"))
	eventually(t, "the statement is under way", func() bool { return s.metric(t, "bytes_from_clients_total") != "0" })
	fake.deaf.Store(true)
	s.drain()
	s.now()
	wantError(t, conn, "57P01")
	if err := <-s.done; err != nil {
		t.Error(err)
	}
	s.done <- nil
	if s.metric(t, "cancel_requests_total") != "1" || strings.Contains(said.String(), "cancel request failed") {
		t.Errorf("no cancel request was sent, or it was waited for:\n%s", &said)
	}
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

// As the bases for Go do, so that a pool does not keep a session that leads to a server
// which has become a standby.
func TestASessionThatCannotWriteAnyMoreEndsWhereOneIsWantedThatCan(t *testing.T) {
	azure := sharedAzure(t)
	for attrs, ends := range map[string]bool{"read-write": true, "primary": true, "any": false} {
		t.Run(attrs, func(t *testing.T) {
			s := serve(t, azure.DSN("app")+"&target_session_attrs="+attrs, proxy.Options{})
			conn := s.dial(t)
			enter(t, conn)
			write(t, conn, query(t, "set default_transaction_read_only = on"))
			hear(t, conn, 'Z')
			write(t, conn, query(t, "begin"))
			hear(t, conn, 'Z')
			write(t, conn, query(t, "create table t (i int)"))
			if said := hear(t, conn, 'E'); !bytes.Contains(said, []byte("C25006\x00")) {
				t.Fatalf("got %q; want SQLSTATE 25006", said)
			}
			hear(t, conn, 'Z')
			write(t, conn, query(t, "rollback"))
			if status := hear(t, conn, 'Z'); string(status) != "I" {
				t.Fatalf("the transaction did not end: %q", status)
			}
			if ends {
				wantError(t, conn, "57P01")
				return
			}
			write(t, conn, query(t, "select 1"))
			if hear(t, conn, 'D') == nil {
				t.Error("the session has ended")
			}
		})
	}
}
