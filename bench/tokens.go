package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/hashicorp/go-pgmultiauth"
	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg"
)

// A tokenRow is a way to get a token whose cache is warm.
type tokenRow struct {
	name string
	get  func(context.Context) error
	most int // goroutines at once; more would take minutes

	calls  int            // in a batch
	ns     map[int]sample // of one call, by goroutines: the time over the number of calls
	allocs sample         // of one call
}

// goroutines are how many ask at once.
var goroutines = []int{1, 8, 64}

const (
	oneLoad   = "one atomic load and time.Now"
	loadAgain = pgxAgain
	cached    = "azidentity's GetToken: "
)

// measureTokens measures how long one token takes from a warm cache.
func measureTokens(ctx context.Context, b *bench) error {
	id, err := b.azure.newIdentities()
	if err != nil {
		return err
	}
	rows, err := b.azure.tokenRows(ctx, id)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := r.calibrate(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	const slow, roundsOfSlow = 10, 2
	for round := range b.scale.tokenRounds {
		for _, n := range goroutines {
			for _, r := range rows {
				if n > r.most || r.calls < slow && round >= roundsOfSlow {
					continue
				}
				if err := r.measure(ctx, n); err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
			}
		}
	}
	b.report.add(tokenTable(rows))
	aimTokens(b.report, rows)
	return nil
}

// tokenRows are the rows, each with a cache of its own that is empty yet.
func (a *azure) tokenRows(ctx context.Context, id identities) ([]*tokenRow, error) {
	load := func(row string) *tokenRow {
		var current atomic.Pointer[azcore.AccessToken]
		current.Store(&azcore.AccessToken{Token: id.token, ExpiresOn: time.Now().Add(time.Hour)})
		return &tokenRow{name: row, most: 64, get: func(context.Context) error {
			if now := time.Now(); current.Load() == nil || now.IsZero() {
				return errors.New("no token")
			}
			return nil
		}}
	}
	ours, err := a.azurepgTokens(id)
	if err != nil {
		return nil, err
	}
	rows := []*tokenRow{load(oneLoad), load(loadAgain), {name: viaAzurepg, most: 64, get: func(ctx context.Context) error {
		_, err := ours.Token(ctx)
		return err
	}}}
	for _, c := range []struct {
		name string
		make newCredential
		most int
	}{
		{"client secret", secretOf(id.app, nil), 64}, {"workload identity", workloadOf(id.app), 64},
		{"managed identity", managedOf(id.managed), 64}, {"Azure CLI", cliOf, 8},
	} {
		cred, err := c.make()
		if err != nil {
			return nil, err
		}
		rows = append(rows, &tokenRow{name: cached + c.name, most: c.most, get: func(ctx context.Context) error {
			_, err := getToken(ctx, cred)
			return err
		}})
	}
	other, err := a.multiauthTokens(ctx, id)
	if err != nil {
		return nil, err
	}
	secret := secretOf(id.app, nil)
	return append(rows, other, &tokenRow{name: anew, most: 64, get: func(ctx context.Context) error {
		cred, err := secret()
		if err != nil {
			return err
		}
		_, err = getToken(ctx, cred)
		return err
	}}), nil
}

func (a *azure) azurepgTokens(id identities) (*azurepg.TokenCache, error) {
	cfg, err := azurepg.ParseDSN(a.azurepgURL(id))
	if err != nil {
		return nil, err
	}
	return cfg.TokenCache()
}

// multiauthTokens is go-pgmultiauth's hook, which is where its cache is.
func (a *azure) multiauthTokens(ctx context.Context, id identities) (*tokenRow, error) {
	cred, err := secretOf(id.app, nil)()
	if err != nil {
		return nil, err
	}
	hook, err := pgmultiauth.BeforeConnectFn(ctx, a.multiauthConfig(id.app.Name, cred))
	if err != nil {
		return nil, err
	}
	return &tokenRow{name: multiauth, most: 64, get: func(ctx context.Context) error {
		var cc pgx.ConnConfig
		return hook(ctx, &cc)
	}}, nil
}

// calibrate warms the cache and finds how many calls take some milliseconds.
func (r *tokenRow) calibrate(ctx context.Context) error {
	r.ns = map[int]sample{}
	if err := r.get(ctx); err != nil {
		return err
	}
	const long, tries = 2 * time.Millisecond, 3 // somebody else may have had the processor for that long
	for r.calls = 1; ; r.calls *= 2 {
		slow := 0
		for slow < tries {
			took, err := r.batch(ctx, 1, r.calls)
			if err != nil {
				return err
			}
			if took <= long {
				break
			}
			slow++
		}
		if slow == tries {
			return nil
		}
	}
}

// measure adds a batch by n goroutines.
func (r *tokenRow) measure(ctx context.Context, n int) error {
	const share = 8 // more goroutines make more calls, since starting them takes time too
	each := max(1, r.calls/min(n, share))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	took, err := r.batch(ctx, n, each)
	runtime.ReadMemStats(&after)
	calls := float64(n * each)
	r.ns[n] = append(r.ns[n], float64(took)/calls)
	if n == 1 {
		r.allocs = append(r.allocs, float64(after.Mallocs-before.Mallocs)/calls)
	}
	return err
}

// batch makes calls calls in each of n goroutines.
func (r *tokenRow) batch(ctx context.Context, n, calls int) (time.Duration, error) {
	loop := func() error {
		for range calls {
			if err := r.get(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	if n == 1 {
		begun := time.Now()
		err := loop()
		return time.Since(begun), err
	}
	var (
		done   sync.WaitGroup
		errs   = make([]error, n)
		starts = make(chan struct{})
	)
	for i := range n {
		done.Go(func() {
			<-starts
			errs[i] = loop()
		})
	}
	begun := time.Now()
	close(starts)
	done.Wait()
	return time.Since(begun), errors.Join(errs...)
}

func tokenTable(rows []*tokenRow) *table {
	t := &table{
		title: "One token from a warm cache",
		note: "Median (and the middle half) of the time over the number of calls; ratio to the first row, with the 95 % interval of the median. " +
			"az was a fake of 0.5 s. A new credential has no cache: it asks Entra, here on loopback.",
		head: []string{"", "1 goroutine", "", "ratio", "8", "64", "allocations"},
	}
	for _, r := range rows {
		cells := []string{r.name, nanoseconds(r.ns[1].median()), r.ns[1].quartiles(nanoseconds), r.ns[1].over(rows[0].ns[1]).ratio()}
		for _, n := range goroutines[1:] {
			cell := "–"
			if r.ns[n] != nil {
				cell = nanoseconds(r.ns[n].median())
			}
			cells = append(cells, cell)
		}
		t.rows = append(t.rows, append(cells, r.allocs.whole()))
	}
	return t
}

func aimTokens(to *report, rows []*tokenRow) {
	row := func(name string) *tokenRow {
		return rows[slices.IndexFunc(rows, func(r *tokenRow) bool { return r.name == name })]
	}
	ours := row(viaAzurepg)
	to.hold("warm token: allocations", "0", ours.allocs.whole(), ours.allocs.whole() == "0")
	ratio := ours.ns[1].over(row(oneLoad).ns[1])
	to.aim("warm token over an atomic load and time.Now", "at most 1.5", ratio.ratio(), ratio.median() <= 1.5)
	for _, c := range []struct {
		name  string
		least float64
	}{{"client secret", 30}, {"workload identity", 30}, {"managed identity", 15}} {
		ratio := row(cached + c.name).ns[1].over(ours.ns[1])
		to.aim("azidentity over a warm token, "+c.name, fmt.Sprintf("at least %.0f", c.least), ratio.ratio(), ratio.median() >= c.least)
	}
	crowded := func(r *tokenRow) sample { return r.ns[64].over(r.ns[1]) }
	low, _ := crowded(ours).interval()
	_, high := crowded(row(oneLoad)).interval() // what a busy machine does to anybody
	to.aim("warm token: 64 goroutines over 1", "at most 1, or within that of the load, "+crowded(row(oneLoad)).ratio(), crowded(ours).ratio(), low <= max(1, high))
}
