package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// report watches the demo from outside: it counts at the servers, and measures
// how long a connection takes on a pool of its own, which keeps none.
type report struct {
	azure     *azurepgtest.Server
	connector *azurepg.Connector // of the pool that measures
	start     time.Time
	stop      func()

	mu       sync.Mutex // guards what follows
	queries  int
	errors   []error
	connects []time.Duration
	rows     int64
}

// watch begins a report. The pool that it measures with logs in by the same
// DSN, and so shares the application's token cache.
func watch(azure *azurepgtest.Server, dsn string) (*report, error) {
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r := &report{azure: azure, connector: c, start: time.Now(), stop: func() { cancel(); <-done }}
	go func() {
		defer close(done)
		r.measure(ctx)
	}()
	return r, nil
}

// measure opens a connection every 20 ms and prints a line every second.
func (r *report) measure(ctx context.Context) {
	db := sql.OpenDB(r.connector)
	defer db.Close()
	db.SetMaxIdleConns(0)
	connect := time.NewTicker(20 * time.Millisecond)
	defer connect.Stop()
	progress := time.NewTicker(time.Second)
	defer progress.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-progress.C:
			r.line()
		case <-connect.C:
			r.connect(db)
		}
	}
}

// connect measures one new connection: TCP, TLS, token, login and a ping.
func (r *report) connect(db *sql.DB) {
	start := time.Now()
	err := db.Ping()
	took := time.Since(start)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.errors = append(r.errors, err)
		return
	}
	r.connects = append(r.connects, took)
}

// work counts one unit of the application's work.
func (r *report) work(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.errors = append(r.errors, err)
		return
	}
	r.queries += 2
}

// line shows that something is going on.
func (r *report) line() {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Printf("  %2.0f s   queries %6d   connections %4d   tokens %2d   errors %d\n", time.Since(r.start).Seconds(),
		r.queries, r.azure.Postgres.Logins(), r.azure.Entra.TokenRequests(), len(r.errors))
}

// print ends the report with its table.
func (r *report) print(w io.Writer) {
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	tokens := r.connector.Stats().Tokens
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(t, "  %s\t%v\n", name, value) }
	fmt.Fprintln(t)
	row("connections opened (50 a second to measure)", r.azure.Postgres.Logins())
	row("tokens fetched", tokens.Fetches)
	row("of them in the background, nobody waiting", tokens.Refreshes)
	row("rows written", r.rows)
	row("time to connect, median", quantile(r.connects, 0.5))
	row("time to connect, p99", quantile(r.connects, 0.99))
	row("logins refused", r.azure.Postgres.Refusals())
	row("errors", len(r.errors))
	_ = t.Flush()
	for _, err := range r.errors[:min(len(r.errors), 3)] {
		fmt.Fprintln(w, "  ", err)
	}
}

// quantile returns the q-th quantile of d, rounded to show.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[int(q*float64(len(d)-1))].Round(10 * time.Microsecond)
}
