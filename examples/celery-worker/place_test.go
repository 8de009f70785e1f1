//go:build unix

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/brokertest"
	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

// lifetime of every token.
const lifetime = 8 * time.Second

// The servers are started by the first test that needs them, and shared.
var (
	azure     *azurepgtest.Server
	authority = sync.OnceValues(func() (*brokertest.Authority, error) {
		a, err := brokertest.NewAuthority()
		return a, noteStart(a, "", err)
	})
	redises = sync.OnceValues(func() (*brokertest.Redis, error) {
		a, err := authority()
		if err != nil {
			return nil, err
		}
		r, err := brokertest.StartRedis(a, &brokertest.RedisOptions{Settings: []string{"databases 64"}})
		if err != nil {
			return nil, err
		}
		return r, noteStart(r, r.Password, nil)
	})
	rabbits = sync.OnceValues(func() (*brokertest.RabbitMQ, error) {
		a, err := authority()
		if err != nil {
			return nil, err
		}
		b, err := brokertest.StartRabbitMQ(a, nil)
		if err != nil {
			return nil, err
		}
		return b, noteStart(b, b.Password, nil)
	})
	database atomic.Int64 // the last of Redis, and queue of RabbitMQ, that a test was given

	mu        sync.Mutex // guards started and passwords
	started   []io.Closer
	passwords []string
)

func noteStart(server io.Closer, password string, err error) error {
	mu.Lock()
	defer mu.Unlock()
	if err == nil {
		started = append(started, server)
	}
	if password != "" {
		passwords = append(passwords, password)
	}
	return err
}

func TestMain(m *testing.M) {
	if os.Getenv(runVariable) != "" {
		main()
		return
	}
	os.Exit(func() int {
		var err error
		if azure, err = azurepgtest.New(nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		azure.Entra.SetLifetime(lifetime)
		code := m.Run()
		for _, server := range slices.Backward(append([]io.Closer{azure}, started...)) {
			if err := server.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		return code
	}())
}

// use returns a server, started or not.
func use[S any](t *testing.T, f func() (S, error)) S {
	t.Helper()
	s, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// secretsIn searches text for what must be in no output.
func secretsIn(text string) []string {
	found := azure.Leaks(text)
	mu.Lock()
	defer mu.Unlock()
	for _, password := range passwords {
		if strings.Contains(text, password) {
			found = append(found, "a broker's password")
		}
	}
	return found
}

// A place is where a worker and its clients meet: broker, queue and result backend, none
// of which other tests use.
type place struct {
	broker  string // the URL that both have
	results string // the URL of the client
	node    string
	queue   string
	ca      brokertest.Pair
	caFile  string
	backend []string // the worker's settings of the result backend
	redis   *brokertest.Redis
	db      int
}

// onRedis is a place whose broker is Redis, with a password and a client certificate.
func onRedis(t *testing.T) place {
	t.Helper()
	pythontest.NeedPackages(t)
	r := use(t, redises)
	p := place{queue: "celery", redis: r, db: int(database.Add(1)), ca: r.Client, caFile: r.Authority.CAFile}
	p.broker = r.CeleryURL(p.db)
	return inPostgres(t, p)
}

// onRabbitMQ is a place whose broker is RabbitMQ, with a queue of its own.
func onRabbitMQ(t *testing.T) place {
	t.Helper()
	pythontest.NeedPackages(t)
	b := use(t, rabbits)
	p := place{broker: b.URL(b.User, b.Password), queue: "queue" + strconv.FormatInt(database.Add(1), 10), ca: b.Client, caFile: b.Authority.CAFile}
	return inPostgres(t, p)
}

// inPostgres adds a database for results: the worker has the service principal's
// variables, and the client a token that does not end.
func inPostgres(t *testing.T, p place) place {
	t.Helper()
	p.node = "go@" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	dsn, err := url.Parse(azure.NewDatabase(t, "worker"))
	if err != nil {
		t.Fatal(err)
	}
	who := azure.AddServicePrincipal("worker")
	name := strings.TrimPrefix(dsn.Path, "/")
	p.backend = []string{
		"AZURE_CLIENT_ID=" + who.ClientID, "AZURE_CLIENT_SECRET=" + who.Secret, "AZURE_SERVICE_PRINCIPAL_USER=worker",
		"DB_HOST=" + azure.Postgres.Host, "DB_PORT=" + strconv.Itoa(azure.Postgres.Port), "DB_NAME=" + name,
	}
	q := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {azure.Postgres.CAFile}}
	p.results = (&url.URL{Scheme: "db+postgresql", User: url.User("worker"), Host: dsn.Host, Path: dsn.Path, RawQuery: q.Encode()}).String()
	return p
}

// inRedis keeps the results where the messages are.
func (p place) inRedis() place {
	p.results = p.broker
	p.backend = []string{"CELERY_RESULT_BACKEND=" + p.broker}
	return p
}

func (p place) worker() []string {
	prefix := "REDIS_TLS_"
	if strings.HasPrefix(p.broker, "amqps") {
		prefix = "RABBITMQ_TLS_"
	}
	broker, _, _ := strings.Cut(p.broker, "?")
	return slices.Concat(azure.Env(), p.backend, []string{
		"CELERY_BROKER_URL=" + broker, "CELERY_QUEUE=" + p.queue, "CELERY_NODE=" + p.node, "CELERY_CONCURRENCY=4",
		prefix + "ENABLED=true", prefix + "CA_CERT=" + p.caFile, prefix + "CERT_FILE=" + p.ca.CertFile, prefix + "KEY_FILE=" + p.ca.KeyFile, prefix + "VERIFY_MODE=required",
	})
}

func (p place) client() []string {
	token := azure.Entra.Mint(azure.AddServicePrincipal("worker"), &azurepgtest.MintOptions{Expires: time.Now().Add(time.Hour)})
	return []string{
		"BROKER=" + p.broker, "BACKEND=" + p.results, "QUEUE=" + p.queue, "NODE=" + p.node, "PGPASSWORD=" + token,
		"CA=" + p.caFile, "CERT=" + p.ca.CertFile, "KEY=" + p.ca.KeyFile, "HOME=" + cmp.Or(os.Getenv("HOME"), "/"), "PYTHONDONTWRITEBYTECODE=1",
	}
}

// waiting is the number of messages in the queue's lists, and unacked that of those which
// a worker has; both of Redis.
func (p place) waiting(t *testing.T) (n int) {
	t.Helper()
	for _, suffix := range []string{"", "3", "6", "9"} {
		list := p.queue
		if suffix != "" {
			list += "\x06\x16" + suffix
		}
		n += p.number(t, "llen", list)
	}
	return n
}

func (p place) unacked(t *testing.T) int { return p.number(t, "hlen", "unacked") }

func (p place) number(t *testing.T, command, key string) int {
	t.Helper()
	conn := p.redis.Admin().Conn()
	defer conn.Close()
	ctx := context.Background()
	if err := conn.Select(ctx, p.db).Err(); err != nil {
		t.Fatal(err)
	}
	n, err := conn.Do(ctx, command, key).Int()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Select(ctx, 0).Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
