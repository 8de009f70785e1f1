// River is a shop that grew past one machine: every process that takes orders puts the
// job of shipping an order into the same transaction as the order, and any number of
// processes work those jobs. River keeps its queue in PostgreSQL, so a pool that logs in
// with tokens is all that it needs, LISTEN and NOTIFY included.
//
//	export DATABASE_URL=postgres://app@mydb.postgres.database.azure.com/shop
//	go run ./river migrate
//	go run ./river work     # on each machine
//	go run ./river insert 100
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
)

var errUsage = errors.New("usage: river [-packing 20ms] [-rescue 1h] [-poll 1s] migrate | insert N | work")

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s settings
	flag.DurationVar(&s.packing, "packing", 20*time.Millisecond, "how long it takes to pack an order")
	flag.DurationVar(&s.rescue, "rescue", time.Hour, "the jobs of a process that died are given to others after this; packing may take half of it")
	flag.DurationVar(&s.poll, "poll", time.Second, "how often to look for jobs that no NOTIFY announced")
	flag.Parse()
	if err := run(ctx, flag.Args(), s); err != nil {
		log.Fatal(err)
	}
}

type settings struct{ packing, rescue, poll time.Duration }

func run(ctx context.Context, args []string, s settings) error {
	if len(args) == 0 {
		return errUsage
	}
	pool, err := azurepg.NewPool(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer pool.Close()
	switch {
	case args[0] == "migrate":
		return migrate(ctx, pool)
	case args[0] == "insert" && len(args) == 2:
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return errUsage
		}
		return insert(ctx, pool, n)
	case args[0] == "work":
		return work(ctx, pool, s)
	}
	return errUsage
}

// work runs until ctx ends, and then until the jobs that have begun are done.
func work(ctx context.Context, pool *pgxpool.Pool, s settings) error {
	client, err := newWorker(pool, s, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	fmt.Println("working as", client.ID())
	<-client.Stopped()
	return nil
}
