package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// A report counts what happens.
type report struct {
	azure   *azurepgtest.Server
	pools   []*pool
	workers []*worker
	seed    uint64
	length  time.Duration
	begun   time.Time
	faults  *switchboard

	queries atomic.Int64

	mu        sync.Mutex // guards what follows
	errors    map[string]int
	odd       map[string]int   // that no fault explains
	example   map[string]error // of odd
	heapAfter uint64           // a minute

	// Set at the end.
	missing string // rows
	heap    uint64
	left    string
}

func newReport(azure *azurepgtest.Server, pools []*pool, seed uint64, length time.Duration) *report {
	return &report{azure: azure, pools: pools, seed: seed, length: length, begun: time.Now(),
		errors: map[string]int{}, odd: map[string]int{}, example: map[string]error{}}
}

func (r *report) note(kind string, err error, explained bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors[kind]++
	if !explained {
		r.odd[kind]++
		r.example[kind] = err
	}
}

// progress prints a line every 10 s, and looks at the memory after a minute.
func (r *report) progress(ctx context.Context, out io.Writer, faults *switchboard) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		if time.Since(r.begun) >= time.Minute && r.heapAfter == 0 {
			r.heapAfter = heapInUse()
		}
		n, odd := sum(r.errors), sum(r.odd)
		r.mu.Unlock()
		faults.mu.Lock()
		now := faults.now.name
		faults.mu.Unlock()
		fmt.Fprintf(out, "%6v  %d queries  %d connects  %d tokens  %d errors, %d of them not explained  %s\n",
			time.Since(r.begun).Round(time.Second), r.queries.Load(), r.connects(), r.azure.Entra.TokenRequests(), n, odd, now)
	}
}

func (r *report) connects() (n uint64) {
	for _, p := range r.pools {
		n += p.connector.Stats().Opened
	}
	return n
}

// finish checks that every acknowledged row is there and every pool still works.
func (r *report) finish(ctx context.Context, faults *switchboard) error {
	r.faults = faults
	for _, p := range r.pools {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		for err := p.exec(ctx, "select 1"); err != nil; err = p.exec(ctx, "select 1") { // first, connections that are dead
			if ctx.Err() != nil {
				return fmt.Errorf("%s does not work at the end: %w", p.name, err)
			}
		}
	}
	su, err := r.azure.Postgres.Superuser(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = su.Close(ctx) }()
	missing := int64(0)
	for _, w := range r.workers {
		var found int64
		if err := su.QueryRow(ctx, "select count(*) from rows where worker = $1", w.name).Scan(&found); err != nil {
			return err
		}
		missing += max(0, w.acked.Load()-found)
	}
	r.missing = fmt.Sprint(missing)
	r.heap = heapInUse()
	return nil
}

// print prints the table.
func (r *report) print(out io.Writer) {
	var refused, retried uint64
	acked := int64(0)
	for _, p := range r.pools {
		refused += p.connector.Stats().Refused
		retried += p.connector.Stats().Retried
	}
	for _, w := range r.workers {
		acked += w.acked.Load()
	}
	var switched []string
	for _, name := range r.faults.names() {
		switched = append(switched, fmt.Sprintf("%s %d", name, r.faults.switched[name]))
	}
	row := func(name string, value any) { fmt.Fprintf(out, "  %-45s %v\n", name, value) }
	fmt.Fprintln(out)
	row("length, seed", fmt.Sprint(r.length, ", ", r.seed))
	row("queries", r.queries.Load())
	row("rows acknowledged", acked)
	row("of them missing at the end", r.missing)
	row("connects", r.connects())
	row("tokens requested (each lives 3 s)", r.azure.Entra.TokenRequests())
	row("logins refused", refused)
	row("logins tried again with a new token", retried)
	row("faults switched", strings.Join(switched, ", "))
	row("errors while a fault explains them, by kind", counts(r.errors, r.odd))
	row("errors that no fault explains", counts(r.odd, nil))
	row("memory after a minute, at the end", fmt.Sprintf("%.1f MB, %.1f MB", float64(r.heapAfter)/1e6, float64(r.heap)/1e6))
	row("goroutines, files, sessions left open", r.left)
}

// counts prints numbers by kind, less others.
func counts(of, less map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		if n := of[kind] - less[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", kind, n))
		}
	}
	if parts == nil {
		return "0"
	}
	return strings.Join(parts, ", ")
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// allowedGrowth is what azurepgtest keeps of tokens and requests, with room.
const allowedGrowth = 8 << 20

// verdict says what was not as it should be.
func (r *report) verdict() error {
	var errs []error
	for kind, err := range r.example {
		errs = append(errs, fmt.Errorf("not explained, %s: %w", kind, err))
	}
	if r.missing != "0" {
		errs = append(errs, errors.New("acknowledged rows are missing: "+r.missing))
	}
	if r.left != none {
		errs = append(errs, errors.New("left open: "+r.left))
	}
	if r.heapAfter > 0 && r.heap > r.heapAfter+allowedGrowth {
		errs = append(errs, errors.New("the memory in use has grown"))
	}
	return errors.Join(errs...)
}
