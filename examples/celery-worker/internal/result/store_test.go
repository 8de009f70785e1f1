package result

import (
	"database/sql"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
	"github.com/azurepg/azurepg/examples/internal/brokertest"
)

func openPostgres(t *testing.T) Postgres {
	t.Helper()
	db, err := sql.Open(azurepg.DriverName, azurepgtest.Start(t).DSN("worker"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return Postgres{db}
}

func openRedis(t *testing.T) Redis {
	t.Helper()
	server := brokertest.RedisFor(t)
	options := *server.Admin().Options()
	client := redis.NewClient(&options)
	t.Cleanup(func() { _ = client.Close() })
	return Redis{client, time.Minute}
}

func TestWorkersThatStartAtOnceMakeTheTableOnce(t *testing.T) {
	p := openPostgres(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := p.Prepare(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if err := p.Prepare(t.Context()); err != nil {
		t.Error(err)
	}
}

// A task that is delivered twice can end in two ways.
func TestSuccessStaysAndFailureDoesNot(t *testing.T) {
	postgres, redis := openPostgres(t), openRedis(t)
	states := map[string]func(id string) string{
		"PostgreSQL": func(id string) (state string) {
			if err := postgres.DB.QueryRow("select status from celery_taskmeta where task_id = $1", id).Scan(&state); err != nil {
				t.Fatal(err)
			}
			return state
		},
		"Redis": func(id string) string {
			text, err := redis.Client.Get(t.Context(), "celery-task-meta-"+id).Result()
			var meta struct{ Status string }
			if err != nil || json.Unmarshal([]byte(text), &meta) != nil {
				t.Fatal(err, text)
			}
			return meta.Status
		},
	}
	for name, store := range map[string]Store{"PostgreSQL": postgres, "Redis": redis} {
		if err := store.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, test := range map[string]struct {
			errs []*message.Exception
			want string
		}{
			"succeeds first": {[]*message.Exception{nil, message.NewException("ValueError", "v")}, Success},
			"fails first":    {[]*message.Exception{message.NewException("ValueError", "v"), nil}, Success},
			"is late":        {[]*message.Exception{{Type: "TaskRevokedError"}}, Revoked},
			"fails":          {[]*message.Exception{message.NewException("ValueError", "v")}, Failure},
		} {
			for _, e := range test.errs {
				r, err := Of(&message.Task{ID: id}, json.RawMessage(`1`), e)
				if err != nil {
					t.Fatal(err)
				}
				if err := store.Put(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if state := states[name](id); state != test.want {
				t.Errorf("%s: a task that %s is %s; want %s", name, id, state, test.want)
			}
		}
	}
}
