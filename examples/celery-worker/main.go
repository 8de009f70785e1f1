// Celery-worker runs tasks that Python sends by Celery, and stores their results in Azure
// Database for PostgreSQL, where Python reads them. README.md says which settings there
// are and what the worker does not do.
//
//	export CELERY_BROKER_URL=rediss://mycache.redis.cache.windows.net:6380/0
//	export CELERY_RESULT_BACKEND=db+postgresql://worker@mydb.postgres.database.azure.com/celery
//	go run ./celery-worker
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/settings"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/worker"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Stderr); err != nil {
		log.Fatal("celery-worker: ", worker.Text(err))
	}
}

func run(ctx context.Context, out io.Writer) error {
	settings.Show(out)
	s, err := settings.Read(os.Getenv)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(out, nil))
	broker, err := openBroker(ctx, s, logger)
	if err != nil {
		return err
	}
	defer broker.Close()
	results, err := openResults(ctx, s, logger)
	if err != nil {
		return err
	}
	defer results.Close()
	w := worker.Worker{Node: s.Node, Tasks: tasks, Broker: broker, Results: results, Concurrency: s.Concurrency, Logger: logger}
	fmt.Fprintf(out, "%s works on queue %s, %d tasks at once\n", s.Node, s.Queue, s.Concurrency)
	return w.Run(ctx)
}
