package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// A shipment has the order's number as its key: that, and not the queue, is what keeps
// an order from being shipped twice.
const tables = `
create table if not exists orders (id bigint generated always as identity primary key, item text not null);
create table if not exists shipments (order_id bigint primary key references orders, by text not null)`

// migrate makes River's tables, in its own migrations, and those of the shop.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	_, err = pool.Exec(ctx, tables)
	return err
}

// shipOrder is the job.
type shipOrder struct {
	OrderID int64 `json:"order_id"`
}

func (shipOrder) Kind() string { return "ship_order" }

// insert takes n orders.
func insert(ctx context.Context, pool *pgxpool.Pool, n int) error {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{}) // works nothing
	if err != nil {
		return err
	}
	for i := range n {
		item := fmt.Sprintf("lamp %d", i+1)
		if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return placeOrder(ctx, tx, client, item) }); err != nil {
			return err
		}
	}
	return nil
}

// placeOrder writes the order and the job of shipping it, both or neither.
func placeOrder(ctx context.Context, tx pgx.Tx, client *river.Client[pgx.Tx], item string) error {
	var job shipOrder
	if err := tx.QueryRow(ctx, "insert into orders (item) values ($1) returning id", item).Scan(&job.OrderID); err != nil {
		return err
	}
	_, err := client.InsertTx(ctx, tx, job, nil)
	return err
}

type shipper struct {
	river.WorkerDefaults[shipOrder]
	pool    *pgxpool.Pool
	packing time.Duration
	by      string
}

// Work may run more than once for one order: a process can die before the commit, and
// one that only stood still is taken for dead. So what it does is in one transaction with
// the job's end, and finds out if it was done before. What it cannot take back, such as a
// payment, needs a key by which the other side knows it again: the job's id.
func (s *shipper) Work(ctx context.Context, job *river.Job[shipOrder]) error {
	fmt.Println("packing order", job.Args.OrderID, "attempt", job.Attempt)
	select {
	case <-time.After(s.packing):
	case <-ctx.Done():
		return ctx.Err()
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		const ship = "insert into shipments (order_id, by) values ($1, $2) on conflict do nothing"
		if _, err := tx.Exec(ctx, ship, job.Args.OrderID, s.by); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
}

// newWorker returns a client that ships orders, ten at once. Besides a connection for
// each of them it wants one for LISTEN, which it holds, and one for its own statements.
func newWorker(pool *pgxpool.Pool, s settings, logger *slog.Logger) (*river.Client[pgx.Tx], error) {
	by := &shipper{pool: pool, packing: s.packing}
	workers := river.NewWorkers()
	river.AddWorker(workers, by)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 10}},
		Workers:              workers,
		Logger:               logger,
		FetchPollInterval:    s.poll,
		RescueStuckJobsAfter: s.rescue,
		JobTimeout:           s.rescue / 2, // or a job could be given to another while it runs
	})
	if err == nil {
		by.by = client.ID()
	}
	return client, err
}
