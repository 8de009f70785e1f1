package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	workersOfAPool = 22 // 64 and two
	patience       = 5 * time.Second
	pause          = 20 * time.Millisecond // of a worker between two statements
)

// A worker writes and reads rows, one statement after the other.
type worker struct {
	name  string
	pool  *pool
	acked atomic.Int64 // rows
}

// startWorkers starts the workers of all pools. The channel is closed when ctx has
// ended and they have stopped.
func startWorkers(ctx context.Context, pools []*pool, r *report, faults *switchboard) <-chan struct{} {
	var wg sync.WaitGroup
	for _, p := range pools {
		for i := range workersOfAPool {
			w := &worker{name: fmt.Sprint(p.name, " ", i), pool: p}
			r.workers = append(r.workers, w)
			wg.Go(func() { w.run(ctx, r, faults) })
		}
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}

func (w *worker) run(ctx context.Context, r *report, faults *switchboard) {
	for n := 0; ctx.Err() == nil; n++ {
		limited, cancel := context.WithTimeout(context.Background(), patience)
		var err error
		if n%2 == 0 {
			if err = w.pool.exec(limited, "insert into rows values ($1, $2)", w.name, n); err == nil {
				w.acked.Add(1)
			}
		} else {
			err = w.pool.exec(limited, "select 1")
		}
		cancel()
		r.queries.Add(1)
		if err != nil {
			kind := kindOf(err)
			r.note(kind, err, faults.explain(kind))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
