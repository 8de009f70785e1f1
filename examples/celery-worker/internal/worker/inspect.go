package worker

import (
	"context"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/control"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

// answer answers celery inspect until ctx ends.
func (w *Worker) answer(ctx context.Context) {
	methods := control.Methods{
		"ping":  func() any { return map[string]string{"ok": "pong"} },
		"stats": func() any { return w.stats() },
		// What Python's workers ask each other when they start.
		"hello": func() any { return map[string]any{"revoked": map[string]any{}, "clock": 0} },
	}
	_ = again(ctx, w.log("listening to commands"), func() error {
		return w.Broker.Listen(ctx, w.Node, func(m message.Message) {
			to, reply, err := methods.Answer(w.Node, m)
			if err == nil && to != nil {
				err = w.Broker.Reply(ctx, *to, reply)
			}
			if err != nil && ctx.Err() == nil {
				w.Logger.Warn("a command is not answered", "error", Text(err))
			}
		})
	})
}

// stats has the keys of a Python worker's that have a meaning here.
func (w *Worker) stats() map[string]any {
	total, waiting := w.counts.snapshot()
	return map[string]any{
		"total":          total,
		"pid":            os.Getpid(),
		"clock":          "0",
		"uptime":         int(time.Since(w.started).Seconds()),
		"prefetch_count": w.Concurrency + waiting,
		"pool":           map[string]any{"implementation": "goroutines", "max-concurrency": w.Concurrency},
	}
}

// counts of tasks, safe for concurrent use.
type counts struct {
	mu      sync.Mutex // guards total and waiting
	total   map[string]int
	waiting int
}

func (c *counts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total == nil {
		c.total = map[string]int{}
	}
	c.total[name]++
}

func (c *counts) wait(change int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting += change
	return c.waiting
}

func (c *counts) snapshot() (total map[string]int, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total = map[string]int{} // null would be no answer
	maps.Copy(total, c.total)
	return total, c.waiting
}
