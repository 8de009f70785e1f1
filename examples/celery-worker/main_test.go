//go:build unix

package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/azurepg/azurepg/examples/internal/child"
)

// features are functions of testdata/client.py, and what they print with every broker and
// result backend.
var features = []struct{ name, want string }{
	{"success", `5`},
	{"keywords", `5`},
	{"values", `[]`},
	{"failure", `"builtins.ValueError('no such lamp',)"`},
	{"state_of_failure", `"FAILURE"`},
	{"not_registered", `["celery.exceptions.NotRegistered('tasks.no_such_task',)", true]`},
	{"wrong_arguments", `["builtins.TypeError(\"tasks.add() missing 1 required argument: 'y'\",)", ` +
		`"builtins.TypeError('tasks.add() takes 2 arguments but 3 were given',)", ` +
		`"builtins.TypeError(\"tasks.add() argument 'y' must be of Go's type int64\",)", ` +
		`"builtins.TypeError(\"tasks.add() got an unexpected keyword argument 'z'\",)"]`},
	{"eta", `[[2, 4], true]`},
	{"expired", `["celery.exceptions.TaskRevokedError('expired',)", "REVOKED", true]`},
	{"not_expired", `2`},
	{"beside_later_ones", `2`},
	{"groups", `[true, true]`},
	{"chains", `"builtins.NotImplementedError('this worker does not do what comes after a task (chain)',)"`},
	{"pickled", `"kombu.exceptions.ContentDisallowed('this worker reads JSON, in UTF-8, and nothing else',)"`},
	{"ignored", `"PENDING"`},
	{"ping", `{"NODE": {"ok": "pong"}}`},
	{"ping_all", `{"NODE": {"ok": "pong"}}`},
	{"stats", `[true, true, true, 4]`},
	{"unknown_command", `{"NODE": {"error": "this worker does not know the command \"reserved\""}}`},
}

func TestPythonGetsWhatItWouldOfAPythonWorker(t *testing.T) {
	for _, where := range []struct {
		name string
		make func(t *testing.T) place
	}{
		{"messages in Redis, results in PostgreSQL", onRedis},
		{"messages and results in Redis", func(t *testing.T) place { return onRedis(t).inRedis() }},
		{"messages in RabbitMQ, results in PostgreSQL", onRabbitMQ},
	} {
		t.Run(where.name, func(t *testing.T) {
			t.Parallel()
			p := where.make(t)
			worker := startWorker(t, p)
			var names []string
			for _, f := range features {
				names = append(names, f.name)
			}
			client := startClient(t, p, nil, names...)
			for _, f := range features {
				want := strings.ReplaceAll(f.want, "NODE", p.node)
				if got := client.next(f.name); got != want {
					t.Errorf("%s printed %s; want %s", f.name, got, want)
				}
			}
			worker.Signal(syscall.SIGTERM)
			if status := worker.Status(); status != 0 {
				t.Errorf("the worker ended with %d", status)
			}
		})
	}
}

// Half of the tasks come over 12 seconds, in which tokens are renewed and every
// session of PostgreSQL is cut again and again, the client's too.
func TestThousandResultsAreRightThoughSessionsAreCut(t *testing.T) {
	p := onRedis(t)
	tokens, logins, refusals := azure.Entra.TokenRequests(), azure.Postgres.Logins(), azure.Postgres.Refusals()
	worker := startWorker(t, p)
	client := startClient(t, p, []string{"N=1000", "SPREAD=12"}, "many")
	if n := client.next("sent"); n != "1000" {
		t.Fatalf("%s sent", n)
	}
	cut, stop := cutSessions(t)
	wrong := client.next("many")
	stop()
	if wrong != "[]" {
		t.Errorf("the results of %s are wrong", wrong)
	}
	if n := azure.Entra.TokenRequests() - tokens; n < 2 || cut.Load() < 2 {
		t.Errorf("%d tokens fetched and %d sessions cut; want 2 of each at least", n, cut.Load())
	}
	if n := azure.Postgres.Refusals() - refusals; n > 0 {
		t.Errorf("%d logins refused, the last one: %s", n, azure.Postgres.LastRefusal())
	}
	t.Logf("%d sessions cut, %d logins", cut.Load(), azure.Postgres.Logins()-logins)
	worker.Signal(syscall.SIGTERM)
	if status := worker.Status(); status != 0 || p.unacked(t) > 0 || p.waiting(t) > 0 {
		t.Errorf("the worker ended with %d; %d messages are not acknowledged, %d wait", status, p.unacked(t), p.waiting(t))
	}
}

// cutSessions resets every session of PostgreSQL every two seconds until stop.
func cutSessions(t *testing.T) (cut *atomic.Int64, stop func()) {
	cut = new(atomic.Int64)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ticker := time.NewTicker(2 * time.Second); ; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				cut.Add(int64(azure.Postgres.KillConnections()))
			}
		}
	}()
	return cut, func() {
		cancel()
		<-ended
	}
}

func TestKilledWorkerLosesNoTask(t *testing.T) {
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		p := onRedis(t)
		workerIsKilled(t, p, func() bool { return p.unacked(t) > 0 })
		child.Until(t, "everything is acknowledged", func() bool { return p.unacked(t)+p.waiting(t) == 0 })
	})
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		p := onRabbitMQ(t)
		workerIsKilled(t, p, func() bool { return true })
	})
}

func workerIsKilled(t *testing.T, p place, holds func() bool) {
	first := startWorker(t, p, "CELERY_VISIBILITY_TIMEOUT=2")
	client := startClient(t, p, []string{"N=40", "SECONDS=0.5"}, "slow")
	client.next("sent")
	child.Until(t, "the first worker has stored some, and has more", func() bool {
		first.Signal(syscall.SIGSTOP)
		if stored(t, p) >= 8 && holds() {
			return true
		}
		first.Signal(syscall.SIGCONT)
		return false
	})
	first.Signal(syscall.SIGKILL)
	first.Status()
	if n := stored(t, p); n >= 40 {
		t.Fatal("the first worker has done everything")
	}
	startWorker(t, p, "CELERY_VISIBILITY_TIMEOUT=2")
	if n := client.next("slow"); n != "40" {
		t.Errorf("%s results; want all 40", n)
	}
}

// stored is the number of results in the place's database, 0 if there is no table yet.
func stored(t *testing.T, p place) int {
	t.Helper()
	n, err := p.count(t, "select count(*) from celery_taskmeta")
	var none *pgconn.PgError
	if err != nil && !(errors.As(err, &none) && none.Code == "42P01") {
		t.Fatal(err)
	}
	return n
}

func (p place) tableExists(t *testing.T) bool {
	t.Helper()
	_, err := p.count(t, "select count(*) from celery_taskmeta")
	return err == nil
}

// count asks as superuser, past what tests do to the others.
func (p place) count(t *testing.T, query string) (n int, err error) {
	t.Helper()
	conn, err := azure.Postgres.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config := conn.Config()
	_ = conn.Close(context.Background())
	config.Database = p.database()
	if conn, err = pgx.ConnectConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	err = conn.QueryRow(t.Context(), query).Scan(&n)
	return n, err
}

func (p place) database() string {
	for _, setting := range p.backend {
		if name, ok := strings.CutPrefix(setting, "DB_NAME="); ok {
			return name
		}
	}
	return ""
}
