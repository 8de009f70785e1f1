package azurepg_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// A writer writes rows of which it remembers those that were acknowledged.
type writer struct {
	name string
	pool pool

	mu    sync.Mutex // guards what follows
	acked []string
	odd   []error // that no fail-over explains
}

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		row := fmt.Sprint(w.name, " ", n)
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		err := w.pool.exec(limited, "insert into written values ($1)", row)
		cancel()
		w.note(row, err)
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (w *writer) note(row string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var refused *azurepg.AuthError
	var noToken *azurepg.TokenError
	switch {
	case err == nil:
		w.acked = append(w.acked, row)
	case errors.As(err, &refused) || errors.As(err, &noToken):
		w.odd = append(w.odd, err)
	}
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// awaitWrites waits until each of writers has had n more rows acknowledged.
func awaitWrites(t *testing.T, writers []*writer, n int) {
	t.Helper()
	begin := map[*writer]int{}
	for _, w := range writers {
		begin[w] = w.count()
	}
	for _, w := range writers {
		waitFor(t, fmt.Sprintf("%d writes of %s", n, w.name), func() bool { return w.count() >= begin[w]+n })
	}
}

// replicateSynchronously makes primary acknowledge commits when the standby has them on
// its disk. Without it, or with synchronous_commit=off in the sessions, a fail-over
// after a crash loses acknowledged commits: PostgreSQL's guarantee is theirs, not azurepg's.
func replicateSynchronously(t *testing.T, primary *azurepgtest.Postgres) {
	t.Helper()
	su, err := primary.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = su.Close(context.Background()) }()
	for _, sql := range []string{"alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"} {
		if _, err := su.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "synchronous standby", func() bool {
		var n int
		err := su.QueryRow(t.Context(), "select count(*) from pg_stat_replication where sync_state = 'sync' and state = 'streaming'").Scan(&n)
		return err == nil && n == 1
	})
}

func TestEveryAcknowledgedCommitIsFoundAfterFailOvers(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	cfg := toHosts(t, s, "writer")
	if err := s.Postgres.Exec(t.Context(), `create table written (row text); grant insert on written to writer`); err != nil {
		t.Fatal(err)
	}
	primary := s.Postgres
	standby, err := primary.AddStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Hosts, cfg.TargetSessionAttrs, cfg.ConnectTimeout = hostsOf(primary, standby), "read-write", 5*time.Second
	cfg.RuntimeParams = map[string]string{"synchronous_commit": "on"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers []*writer
	var wg sync.WaitGroup
	for _, p := range pools(t, cfg) {
		for i := range 11 {
			w := &writer{name: fmt.Sprint(p.name, " ", i), pool: p}
			writers = append(writers, w)
			wg.Go(func() { w.run(ctx) })
		}
	}
	for _, failOver := range []struct {
		name string
		end  func(*azurepgtest.Postgres) error
	}{{"planned", (*azurepgtest.Postgres).Stop}, {"after a crash", (*azurepgtest.Postgres).Crash}} {
		replicateSynchronously(t, primary)
		awaitWrites(t, writers, 3)
		start := time.Now()
		if err := failOver.end(primary); err != nil {
			t.Fatal(err)
		}
		if err := standby.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		awaitWrites(t, writers, 1)
		t.Logf("%s: all %d workers write again after %v", failOver.name, len(writers), time.Since(start).Round(time.Millisecond))
		if err := primary.Follow(t.Context(), standby); err != nil {
			t.Fatal(err)
		}
		primary, standby = standby, primary
	}
	awaitWrites(t, writers, 3)
	cancel()
	wg.Wait()
	wantWritten(t, primary, writers)
}

// wantWritten fails the test if a row is not in p that it has acknowledged.
func wantWritten(t *testing.T, p *azurepgtest.Postgres, writers []*writer) {
	t.Helper()
	su, err := p.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = su.Close(context.Background()) }()
	rows, _ := su.Query(t.Context(), "select row from written")
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, row := range found {
		there[row] = true
	}
	acked, lost := 0, 0
	for _, w := range writers {
		for _, row := range w.acked {
			if acked++; !there[row] {
				lost++
			}
		}
		for _, err := range w.odd {
			t.Errorf("%s: %v; want no such error of a fail-over", w.name, err)
		}
	}
	if lost > 0 || acked == 0 {
		t.Errorf("%d of %d acknowledged commits are lost", lost, acked)
	}
	t.Logf("%d commits acknowledged, %d rows found", acked, len(found))
}
