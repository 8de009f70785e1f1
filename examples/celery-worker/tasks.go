package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/task"
)

// tasks are what Python calls: app.send_task("tasks.add", args=[2, 3]).
var tasks = task.Registry{
	"tasks.add":   task.New(add),
	"tasks.echo":  task.New(echo),
	"tasks.fail":  task.New(fail),
	"tasks.sleep": task.New(sleep),
}

type operands struct{ X, Y int64 }

func add(_ context.Context, o operands) (int64, error) { return o.X + o.Y, nil }

func echo(_ context.Context, a struct{ Value json.RawMessage }) (json.RawMessage, error) {
	return a.Value, nil
}

// fail raises in Python what it is told to.
func fail(_ context.Context, a struct{ Class, Text string }) (any, error) {
	return nil, message.NewException(a.Class, "%s", a.Text)
}

// sleep is told to stop by nobody: a worker that is to stop finishes what it has begun.
func sleep(ctx context.Context, a struct{ Seconds float64 }) (string, error) {
	select {
	case <-time.After(time.Duration(a.Seconds * float64(time.Second))):
		return "slept", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
