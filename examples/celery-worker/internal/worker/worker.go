// Package worker runs the tasks of one queue.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/broker"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/result"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/task"
)

// A Worker receives tasks, runs them, stores their results, and only then acknowledges
// them (acks_late): a task whose worker dies is run again, so tasks should bear that.
type Worker struct {
	Node        string // its name for celery inspect, such as go@host
	Tasks       task.Registry
	Broker      broker.Broker
	Results     result.Store
	Concurrency int // how many tasks run at once
	Logger      *slog.Logger

	slots   chan struct{}
	running sync.WaitGroup // deliveries that are not done with
	started time.Time
	counts  counts
}

// Run works until ctx ends. Then it receives nothing more, gives those tasks back that
// wait for their time, and returns when those that run are done and stored.
func (w *Worker) Run(ctx context.Context) error {
	for what, check := range map[string]func(context.Context) error{"broker": w.Broker.Check, "result backend": w.Results.Prepare} {
		if err := check(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	w.started, w.slots = time.Now(), make(chan struct{}, w.Concurrency)
	if err := w.wait(0); err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var services sync.WaitGroup
	services.Go(func() { w.Broker.Maintain(serving) })
	services.Go(func() { w.answer(serving) })
	w.receive(ctx)
	w.running.Wait()
	stop()
	services.Wait()
	return nil
}

func (w *Worker) receive(ctx context.Context) {
	for {
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
		}
		var d *broker.Delivery
		err := again(ctx, w.log("receiving"), func() (err error) {
			d, err = w.Broker.Receive(ctx)
			return err
		})
		if err != nil { // the end of ctx
			return
		}
		w.running.Go(func() { w.take(ctx, d) })
	}
}

// take has a slot, which it leaves while the task waits for its ETA.
func (w *Worker) take(ctx context.Context, d *broker.Delivery) {
	t, err := d.Task()
	if t != nil && err == nil && time.Until(t.ETA) > 0 {
		<-w.slots
		if !w.await(ctx, t.ETA) {
			w.requeue(ctx, d)
			return
		}
	}
	defer func() { <-w.slots }()
	if t == nil {
		w.Logger.Error("dropped " + err.Error())
		w.ack(ctx, d)
		return
	}
	w.counts.add(t.Name)
	finishing := context.WithoutCancel(ctx)
	r, err := w.outcome(finishing, t, err)
	if err == nil && !t.IgnoreResult {
		err = w.store(ctx, r)
	}
	if err != nil {
		w.Logger.Error("a result is not stored: the task goes back to its queue", "task", t.Name, "id", t.ID, "error", Text(err))
		w.requeue(ctx, d)
		return
	}
	w.ack(ctx, d)
}

// await returns true with a slot at that time, or false at the end of ctx.
func (w *Worker) await(ctx context.Context, eta time.Time) bool {
	if err := w.wait(1); err != nil {
		w.Logger.Warn("the broker sends nothing while tasks wait for their time", "error", Text(err))
	}
	defer func() { _ = w.wait(-1) }() // that it sends one too many does no harm
	timer := time.NewTimer(time.Until(eta))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	select {
	case w.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// wait changes the number of tasks that wait for their time, which count for the broker
// as received.
func (w *Worker) wait(change int) error {
	return w.Broker.Prefetch(w.Concurrency + w.counts.wait(change))
}

// outcome runs the task, unless it cannot be run or is too late.
func (w *Worker) outcome(ctx context.Context, t *message.Task, unreadable error) (result.Result, error) {
	if unreadable != nil {
		return w.failed(t, unreadable)
	}
	if !t.Expires.IsZero() && time.Now().After(t.Expires) {
		return w.failed(t, &message.Exception{Type: "TaskRevokedError", Module: "celery.exceptions", Message: []any{"expired"}})
	}
	value, err := w.Tasks.Run(ctx, t)
	if err != nil {
		return w.failed(t, err)
	}
	return result.Of(t, value, nil)
}

func (w *Worker) failed(t *message.Task, err error) (result.Result, error) {
	log := w.Logger.With("task", t.Name, "id", t.ID)
	var p *task.Panic
	if errors.As(err, &p) {
		log = log.With("stack", string(p.Stack))
	}
	log.Warn("a task failed", "error", Text(err))
	return result.Of(t, nil, task.Exception(err))
}

// stopPatience is how long a result backend that fails is tried after the worker was told
// to stop.
const stopPatience = 10 * time.Second

// store tries until it succeeds: the task has run, and should not have to again.
func (w *Worker) store(ctx context.Context, r result.Result) error {
	trying, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopPatience, stop) })()
	return again(trying, w.log("storing a result"), func() error { return w.Results.Put(trying, r) })
}

func (w *Worker) ack(ctx context.Context, d *broker.Delivery) {
	if err := d.Ack(context.WithoutCancel(ctx)); err != nil {
		w.Logger.Warn("a task is done, but the broker does not know and will send it again", "error", Text(err))
	}
}

func (w *Worker) requeue(ctx context.Context, d *broker.Delivery) {
	if err := d.Requeue(context.WithoutCancel(ctx)); err != nil {
		w.Logger.Warn("a task goes back to its queue later", "error", Text(err))
	}
}

func (w *Worker) log(what string) func(error) {
	return func(err error) { w.Logger.Warn(what+" failed, and is tried again", "error", Text(err)) }
}

// Text is an error for the log. What servers and other libraries say is foreign; azurepg's
// own errors hold no secret, and would lose what looks like one.
func Text(err error) string {
	var token *azurepg.TokenError
	var dsn *azurepg.DSNError
	var auth *azurepg.AuthError
	if errors.As(err, &token) || errors.As(err, &dsn) || errors.As(err, &auth) {
		return err.Error()
	}
	return azurepg.Redact(err.Error())
}
