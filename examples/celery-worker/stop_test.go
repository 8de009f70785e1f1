//go:build unix

package main

import (
	"syscall"
	"testing"

	"github.com/azurepg/azurepg/examples/internal/child"
)

// The worker of two slots has begun two of three tasks that take a while, and holds one
// for tomorrow.
func TestStoppedWorkerFinishesWhatRunsAndGivesTheRestBack(t *testing.T) {
	t.Parallel()
	p := onRedis(t)
	env := []string{"SECONDS=4"}
	startClient(t, p, env, "only_sent").next("only_sent")
	worker := startWorker(t, p, "CELERY_CONCURRENCY=2")
	child.Until(t, "three are received", func() bool { return p.unacked(t) == 3 && p.waiting(t) == 1 })
	worker.Signal(syscall.SIGTERM)
	if status := worker.Status(); status != 0 {
		t.Errorf("it ended with %d", status)
	}
	if done, held, waiting := stored(t, p), p.unacked(t), p.waiting(t); done != 2 || held != 0 || waiting != 2 {
		t.Errorf("%d are done, %d not acknowledged, %d wait; want 2, 0, 2", done, held, waiting)
	}
	startWorker(t, p)
	child.Until(t, "the third is done by the next worker", func() bool { return stored(t, p) == 3 })
}

func TestStoppedWorkerGivesTheRestBackToRabbitMQ(t *testing.T) {
	t.Parallel()
	p := onRabbitMQ(t)
	startClient(t, p, []string{"SECONDS=2"}, "only_sent").next("only_sent")
	worker := startWorker(t, p, "CELERY_CONCURRENCY=1")
	child.Until(t, "one is done", func() bool { return stored(t, p) == 1 })
	worker.Signal(syscall.SIGTERM)
	if status := worker.Status(); status != 0 {
		t.Errorf("it ended with %d", status)
	}
	if n := stored(t, p); n == 3 {
		t.Error("it has done everything; the test has shown nothing")
	}
	startWorker(t, p)
	child.Until(t, "the rest is done by the next worker", func() bool { return stored(t, p) == 3 })
}

func TestSecondSignalEndsTheWorkerAtOnce(t *testing.T) {
	t.Parallel()
	p := onRedis(t)
	startClient(t, p, []string{"SECONDS=600"}, "only_sent").next("only_sent")
	worker := startWorker(t, p)
	child.Until(t, "it holds them", func() bool { return p.unacked(t) == 4 })
	worker.Signal(syscall.SIGTERM)
	child.Until(t, "the one for tomorrow is given back", func() bool { return p.unacked(t) == 3 })
	worker.Signal(syscall.SIGTERM)
	if status := worker.Status(); status != -1 {
		t.Errorf("it ended with %d; want a signal's end", status)
	}
}
