package azurepg_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// A user is a goroutine that asks a pool something again and again. Who had no answer
// waits for longer the next time: on a busy machine none of many might ever get in.
type user struct {
	name string
	pool pool
	good atomic.Int64 // answers
	last atomic.Pointer[error]
}

func (u *user) run(ctx context.Context) {
	const least, most = 500 * time.Millisecond, 8 * time.Second
	patience := least
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		_, err := u.pool.ask(limited, "select 'x'")
		cancel()
		if err == nil {
			u.good.Add(1)
			patience = least
		} else {
			u.last.Store(&err)
			patience = min(2*patience, most)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// serveAll waits until each user has been answered once more.
func serveAll(t *testing.T, users []*user) {
	t.Helper()
	begin := map[*user]int64{}
	for _, u := range users {
		begin[u] = u.good.Load()
	}
	for _, u := range users {
		waitFor(t, "answer for "+u.name, func() bool { return u.good.Load() > begin[u] })
	}
}

func TestNothingThatHappensToConnectionsStopsAPoolOrCostsAToken(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	p := s.Postgres
	cfg := toHosts(t, s, "app", hostsOf(p)...)
	if err := doors["database/sql"](t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	before := count(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var users []*user
	var wg sync.WaitGroup
	all := pools(t, cfg)
	for _, pool := range all {
		for i := range 5 {
			u := &user{name: fmt.Sprint(pool.name, " ", i), pool: pool}
			users = append(users, u)
			wg.Go(func() { u.run(ctx) })
		}
	}
	serveAll(t, users)
	tokens, refusals := s.Entra.TokenRequests(), p.Refusals()
	terminate := "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'"
	for _, fault := range []struct {
		name     string
		begin    func() error
		end      func() error
		sqlstate string // that a user gets meanwhile; empty: any error, or none
	}{
		{"all connections reset", func() error { p.KillConnections(); return nil }, nil, ""},
		{"all backends terminated", func() error { return p.Exec(t.Context(), terminate) }, nil, ""},
		{"restart", p.Stop, p.Start, ""},
		{"crash", p.Crash, p.Start, ""},
		{"network stalls", func() error { p.SetBlackHole(true); return nil }, func() error { p.SetBlackHole(false); return nil }, ""},
		{"too many connections", func() error {
			p.SetMaxConnections(1)
			return p.Exec(t.Context(), terminate)
		}, func() error { p.SetMaxConnections(0); return nil }, "53300"},
	} {
		for _, u := range users {
			u.last.Store(nil)
		}
		if err := fault.begin(); err != nil {
			t.Fatalf("%s: %v", fault.name, err)
		}
		if fault.end != nil {
			waitFor(t, "error by "+fault.name, func() bool { return failed(users) > 0 })
			if fault.sqlstate != "" {
				waitFor(t, "53300", func() bool { return met(users, fault.sqlstate) })
			}
			if err := fault.end(); err != nil {
				t.Fatalf("%s: %v", fault.name, err)
			}
		}
		start := time.Now()
		serveAll(t, users)
		t.Logf("%s: all %d users are served again after %v", fault.name, len(users), time.Since(start).Round(time.Millisecond))
	}
	if got := s.Entra.TokenRequests() - tokens; got != 0 {
		t.Errorf("%d token requests; want none, the token was good", got)
	}
	if got := p.Refusals() - refusals; got == 0 {
		t.Error("no login was refused; want some by 53300")
	}
	cancel()
	wg.Wait()
	for _, pool := range all {
		pool.close()
	}
	wantNoMore(t, s, before)
}

func failed(users []*user) (n int) {
	for _, u := range users {
		if u.last.Load() != nil {
			n++
		}
	}
	return n
}

// met reports whether a user's last error has that SQLSTATE.
func met(users []*user, sqlstate string) bool {
	for _, u := range users {
		var server interface{ SQLState() string }
		if err := u.last.Load(); err != nil && errors.As(*err, &server) && server.SQLState() == sqlstate {
			return true
		}
	}
	return false
}
