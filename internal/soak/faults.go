package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// A fault is what can be switched on and off, and the kinds of errors that it explains.
type fault struct {
	name    string
	on, off func(*azurepgtest.Server) error // off may be nil
	kinds   []string
	after   time.Duration // for how long after its end it still explains them
}

// of makes a step of a method that cannot fail.
func of(f func(*azurepgtest.Server)) func(*azurepgtest.Server) error {
	return func(s *azurepgtest.Server) error { f(s); return nil }
}

// expired is how the server refuses a token. A login that takes long may come too late
// with one of 3 s; database/sql does not notice, pgxpool does.
const expired = "28P01"

func entra(name string, f azurepgtest.Fault) fault {
	// The token may end meanwhile, also on its way to the server; and azidentity goes on
	// trying for some 10 s.
	return fault{name, of(func(s *azurepgtest.Server) { s.Entra.Fault(f) }), of(func(s *azurepgtest.Server) { s.Entra.ClearFaults() }),
		[]string{noToken, timeout, expired}, 20 * time.Second}
}

func stop(s *azurepgtest.Server) error  { return s.Postgres.Stop() }
func crash(s *azurepgtest.Server) error { return s.Postgres.Crash() }
func start(s *azurepgtest.Server) error { return s.Postgres.Start() }

func terminate(s *azurepgtest.Server) error {
	return s.Postgres.Exec(context.Background(), "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'soak'")
}

// A refused token is replaced at once, but by force only once in 30 s; after a second
// refusal logins wait for the next regular one, which Entra's faults may delay.
const untilRegular = 35 * time.Second

var faults = []fault{
	entra("Entra hangs", azurepgtest.Hang),
	entra("Entra takes 2 s", azurepgtest.Delay(2*time.Second)),
	entra("Entra throttles", azurepgtest.Status(429, 2*time.Second)),
	entra("Entra answers 500", azurepgtest.Status(500, 0)),
	entra("Entra resets", azurepgtest.Reset),
	entra("Entra answers HTML", azurepgtest.Garbage),
	entra("secret expired", azurepgtest.SecretExpired),
	{"tokens revoked", of(func(s *azurepgtest.Server) { s.Entra.RevokeTokens() }), nil, []string{expired}, untilRegular},
	{"keys rotated", func(s *azurepgtest.Server) error { return s.Entra.RotateKeys() }, nil, []string{expired}, untilRegular},
	{"connections reset", of(func(s *azurepgtest.Server) { s.Postgres.KillConnections() }), nil, []string{lost}, patience},
	{"backends terminated", terminate, nil, []string{"57P01", "08006", lost}, patience}, // 08006: of azurepgtest, for a session that it had just opened
	{"restart", stop, start, []string{"57P01", "57P03", "08006", lost, timeout, expired}, patience},
	{"crash", crash, start, []string{"57P01", "57P02", "57P03", "08006", lost, timeout, expired}, patience},
	{"network stalls", of(func(s *azurepgtest.Server) { s.Postgres.SetBlackHole(true) }), of(func(s *azurepgtest.Server) { s.Postgres.SetBlackHole(false) }),
		[]string{timeout, lost, expired}, 2 * patience},
	{"too many connections", of(func(s *azurepgtest.Server) { s.Postgres.SetMaxConnections(5) }), of(func(s *azurepgtest.Server) { s.Postgres.SetMaxConnections(0) }),
		[]string{"53300", timeout}, patience},
	{"firewall", of(func(s *azurepgtest.Server) { s.Postgres.RejectBefore(true) }), of(func(s *azurepgtest.Server) { s.Postgres.RejectBefore(false) }),
		[]string{"28000"}, patience},
}

// A switchboard switches one fault after the other.
type switchboard struct {
	azure  *azurepgtest.Server
	random *rand.Rand

	mu       sync.Mutex // guards what follows
	now      fault      // the one that is on; zero: none
	switched map[string]int
	explains map[string]time.Time // for each kind of error, until when a fault that has ended does
}

// run switches faults until ctx ends, and then the last one off.
func (b *switchboard) run(ctx context.Context) error {
	for b.pause(ctx, time.Second, 4*time.Second) {
		f := faults[b.random.IntN(len(faults))]
		b.begin(f)
		err := f.on(b.azure)
		if f.off != nil && err == nil {
			b.pause(ctx, time.Second, 8*time.Second)
			err = f.off(b.azure)
		}
		b.end(f)
		if err != nil {
			return err
		}
	}
	return nil
}

// pause waits at random, and returns false if ctx ends meanwhile.
func (b *switchboard) pause(ctx context.Context, least, most time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(least + time.Duration(b.random.Int64N(int64(most-least)))):
		return true
	}
}

func (b *switchboard) begin(f fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.switched == nil {
		b.switched, b.explains = map[string]int{}, map[string]time.Time{}
	}
	b.now = f
	b.switched[f.name]++
}

func (b *switchboard) end(f fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = fault{}
	until := time.Now().Add(f.after)
	for _, kind := range f.kinds { // another one may explain it for longer
		if b.explains[kind].Before(until) {
			b.explains[kind] = until
		}
	}
}

// explain reports whether a fault explains an error of that kind at this moment.
func (b *switchboard) explain(kind string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.now.kinds, kind) || time.Now().Before(b.explains[kind])
}

// names returns what was switched.
func (b *switchboard) names() (names []string) {
	for name := range b.switched {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
