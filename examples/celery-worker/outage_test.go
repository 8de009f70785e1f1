//go:build unix

package main

import (
	"syscall"
	"testing"

	"github.com/azurepg/azurepg/examples/internal/child"
)

// The tests of this file stop the PostgreSQL that all share: none of them is parallel.

func sawStoringFail(worker *child.Process) func() bool {
	return func() bool { return worker.Printed("storing a result failed") > 0 }
}

func startPostgres(t *testing.T) {
	t.Helper()
	if err := azure.Postgres.Start(); err != nil {
		t.Fatal(err)
	}
}

func TestResultsAreStoredWhenPostgreSQLComesBack(t *testing.T) {
	p := onRedis(t)
	worker := startWorker(t, p)
	client := startClient(t, p, []string{"N=12", "SECONDS=0.5"}, "slow")
	client.next("sent")
	child.Until(t, "some are done", func() bool { return stored(t, p) > 0 })
	if err := azure.Postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	defer startPostgres(t)
	child.Until(t, "the worker cannot store a result", sawStoringFail(worker))
	startPostgres(t)
	if n := client.next("slow"); n != "12" {
		t.Errorf("%s results; want all 12", n)
	}
	worker.Signal(syscall.SIGTERM)
	if status := worker.Status(); status != 0 {
		t.Errorf("the worker ended with %d", status)
	}
}

func TestWorkerThatIsStoppedWithoutPostgreSQLGivesItsTasksBack(t *testing.T) {
	p := onRedis(t)
	worker := startWorker(t, p)
	child.Until(t, "it has made its table", func() bool { return p.tableExists(t) })
	if err := azure.Postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	defer startPostgres(t)
	startClient(t, p, []string{"SECONDS=0.1"}, "only_sent").next("only_sent")
	child.Until(t, "the worker cannot store a result", sawStoringFail(worker))
	worker.Signal(syscall.SIGTERM)
	if status := worker.Status(); status != 0 || p.unacked(t) != 0 || p.waiting(t) != 4 {
		t.Errorf("the worker ended with %d; %d messages are not acknowledged, %d wait; want 0, 0, 4", status, p.unacked(t), p.waiting(t))
	}
}
