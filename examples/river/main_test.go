//go:build unix

package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/internal/child"
)

// The first worker, which is also the one that looks after stuck jobs, is killed while
// jobs of its own run.
func TestEveryOrderIsShippedOnceThoughAWorkerIsKilled(t *testing.T) {
	const orders = 200
	dsn, pool := shop(t)
	tokens, refusals := azure.Entra.TokenRequests(), azure.Postgres.Refusals()
	first := startWorker(t, dsn, "-packing", "500ms", "-rescue", "6s")
	child.Until(t, "the first worker leads", func() bool { return count(t, pool, "select count(*) from river_leader") == 1 })
	second := startWorker(t, dsn, "-packing", "500ms", "-rescue", "6s")
	shopkeeper := start(t, dsn, "insert", strconv.Itoa(orders))
	child.Until(t, "a third is shipped", func() bool { return count(t, pool, "select count(*) from shipments") >= orders/3 })

	running := 0
	child.Until(t, "the first worker stands still amid its jobs", func() bool {
		first.Signal(syscall.SIGSTOP)
		running = count(t, pool, "select count(*) from river_job where state = 'running' and attempted_by[array_upper(attempted_by, 1)] = $1", first.id)
		if running < 3 {
			first.Signal(syscall.SIGCONT)
		}
		return running >= 3
	})
	first.Signal(syscall.SIGKILL)
	if status := first.Status(); status != -1 {
		t.Fatalf("the first worker ended with %d; want a signal's end", status)
	}
	shopkeeper.Succeeds()

	child.Until(t, "every job is completed", func() bool {
		return count(t, pool, "select count(*) from river_job where state = 'completed'") == orders
	})
	child.Until(t, "tokens are renewed, one for each of three processes being the first", func() bool {
		return azure.Entra.TokenRequests()-tokens > 3
	})
	second.Signal(syscall.SIGTERM)
	second.Succeeds()
	if n := count(t, pool, "select count(*) from orders join shipments on id = order_id"); n != orders {
		t.Errorf("%d orders are shipped; want %d", n, orders)
	}
	// What PostgreSQL was told when the worker stopped, it may have committed since.
	if n := count(t, pool, "select count(*) from river_job where attempt > 1"); n < 1 || n > running {
		t.Errorf("%d jobs were given to another worker; want those of the %d that the killed one did not end", n, running)
	}
	for _, w := range []worker{first, second} {
		if n := count(t, pool, "select count(*) from shipments where by = $1", w.id); n == 0 {
			t.Errorf("%s shipped nothing", w.id)
		}
	}
	if n := azure.Postgres.Refusals() - refusals; n > 0 {
		t.Errorf("%d logins refused, the last one: %s", n, azure.Postgres.LastRefusal())
	}
}

// The worker looks by itself once an hour, so it is NOTIFY that brings each job: on the
// connection that listens, whose token has ended, and on the one that comes after it.
func TestJobsAreAnnouncedBeyondTheEndOfATokenAndOfAConnection(t *testing.T) {
	dsn, pool := shop(t)
	worker := startWorker(t, dsn, "-packing", "0s", "-poll", "1h")
	order := func() {
		t.Helper()
		if err := insert(t.Context(), pool, 1); err != nil {
			t.Fatal(err)
		}
	}
	shipped := func(n int) func() bool {
		return func() bool { return count(t, pool, "select count(*) from shipments") >= n }
	}
	order()
	child.Until(t, "an order is shipped", shipped(1))

	// River pings the connection that listens when it has heard nothing for 5 s.
	listens := "select coalesce(max(pid), 0) from pg_stat_activity where datname = current_database() and pid <> $1 and (query ilike 'listen%' or query = '-- ping')"
	pid := 0
	child.Until(t, "a connection listens", func() bool { pid = count(t, pool, listens, 0); return pid > 0 })
	time.Sleep(lifetime + time.Second) // whatever token it logged in with, it has ended
	order()
	child.Until(t, "an order is shipped though the token has ended", shipped(2))
	if count(t, pool, "select count(*) from pg_stat_activity where pid = $1", pid) == 0 { // others last for 300 ms
		t.Fatal("the connection that listens is another one: the test has shown nothing")
	}

	if _, err := pool.Exec(t.Context(), "select pg_terminate_backend($1)", pid); err != nil {
		t.Fatal(err)
	}
	child.Until(t, "a new connection listens", func() bool { return count(t, pool, listens, pid) > 0 })
	before := count(t, pool, "select count(*) from orders")
	child.Until(t, "an order is shipped", func() bool { // the first may come before the second LISTEN
		order()
		return count(t, pool, "select count(*) from shipments") > before
	})
	worker.Signal(syscall.SIGTERM)
	worker.Succeeds()
}

func TestOrderAndJobAreCommittedTogether(t *testing.T) {
	_, pool := shop(t)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		t.Fatal(err)
	}
	errNoMoney := errors.New("no money")
	for n, end := range []error{errNoMoney, nil} {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			return errors.Join(placeOrder(t.Context(), tx, client, "lamp"), end)
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		orders, jobs := count(t, pool, "select count(*) from orders"), count(t, pool, "select count(*) from river_job")
		if orders != n || jobs != n {
			t.Errorf("after %v: %d orders and %d jobs; want %d", end, orders, jobs, n)
		}
	}
}

// As after a worker that stood still until its job was given to another.
func TestOrderThatIsShippedAlreadyIsNotShippedAgain(t *testing.T) {
	dsn, pool := shop(t)
	if err := insert(t.Context(), pool, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "insert into shipments values (1, 'somebody else')"); err != nil {
		t.Fatal(err)
	}
	worker := startWorker(t, dsn, "-packing", "0s")
	child.Until(t, "the job is completed", func() bool {
		return count(t, pool, "select count(*) from river_job where state = 'completed' and attempt = 1") == 1
	})
	if n := count(t, pool, "select count(*) from shipments where by = 'somebody else'"); n != 1 {
		t.Error("the shipment has changed")
	}
	worker.Signal(syscall.SIGTERM)
	worker.Succeeds()
}

func TestProgramSaysHowItIsRun(t *testing.T) {
	for _, args := range [][]string{nil, {"insert"}, {"insert", "many"}, {"ship"}} {
		t.Setenv("DATABASE_URL", azure.DSN("shop"))
		if err := run(t.Context(), args, settings{}); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", strings.Join(args, " "), err)
		}
	}
	t.Setenv("DATABASE_URL", "postgres://shop:pass@localhost/shop")
	if err := run(t.Context(), []string{"work"}, settings{}); !errors.Is(err, azurepg.ErrPasswordInDSN) {
		t.Errorf("with a password: %v", err)
	}
}

// shop is an empty database with the tables in it.
func shop(t *testing.T) (dsn string, pool *pgxpool.Pool) {
	t.Helper()
	dsn = azure.NewDatabase(t, "shop") + "&pool_max_conns=8&pool_max_conn_lifetime=300ms&pool_health_check_period=100ms"
	for range 2 { // it may be repeated
		start(t, dsn, "migrate").Succeeds()
	}
	pool, err := azurepg.NewPool(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return dsn, pool
}

func count(t *testing.T, pool *pgxpool.Pool, query string, args ...any) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := pool.QueryRow(ctx, query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
