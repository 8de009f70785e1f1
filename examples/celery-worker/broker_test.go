//go:build unix

package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/azurepg/azurepg/examples/internal/brokertest"
	"github.com/azurepg/azurepg/examples/internal/child"
	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

func TestTasksOfPriorityZeroComeFirst(t *testing.T) {
	t.Parallel()
	p := onRedis(t)
	client := startClient(t, p, nil, "priorities")
	client.next("sent")
	startWorker(t, p, "CELERY_CONCURRENCY=1")
	if order := client.next("priorities"); order != "[0, 3, 6, 9]" {
		t.Errorf("done in the order %s", order)
	}
}

// The front before Redis takes Entra tokens alone and cuts connections whose token ends.
func TestWorkerLogsInToRedisWithTokens(t *testing.T) {
	t.Parallel()
	p := onRedis(t).inRedis()
	front, err := brokertest.StartFront(p.redis, azure)
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	who := azure.AddServicePrincipal("redis-worker")
	if err := front.Grant(t.Context(), who.ObjectID, "~* &* +@all"); err != nil {
		t.Fatal(err)
	}
	broker := (&url.URL{Scheme: "rediss", Host: front.Addr, Path: "/" + strconv.Itoa(p.db)}).String()
	worker := startWorker(t, p, "CELERY_BROKER_URL="+broker, "CELERY_RESULT_BACKEND="+broker,
		"AZURE_CREDENTIAL=client_secret", "AZURE_CLIENT_ID="+who.ClientID, "AZURE_CLIENT_SECRET="+who.Secret)
	tokens := azure.Entra.TokenRequests()
	client := startClient(t, p, []string{"N=200", "SPREAD=10"}, "many", "ping")
	client.next("sent")
	if wrong := client.next("many"); wrong != "[]" {
		t.Errorf("the results of %s are wrong", wrong)
	}
	if got, want := client.next("ping"), `{"`+p.node+`": {"ok": "pong"}}`; got != want {
		t.Errorf("ping printed %s; want %s", got, want)
	}
	if n := azure.Entra.TokenRequests() - tokens; n < 2 {
		t.Errorf("%d tokens fetched; want two at least", n)
	}
	if refused := front.Refused(); refused != nil {
		t.Errorf("logins refused: %q", refused)
	}
	worker.Signal(syscall.SIGTERM)
	if status := worker.Status(); status != 0 {
		t.Errorf("the worker ended with %d", status)
	}
}

// Redis itself knows no user of the token's object id.
func TestRefusedTokenOfRedisIsExplained(t *testing.T) {
	t.Parallel()
	p := onRedis(t)
	worker := startWorkerAtAll(t, p, "CELERY_BROKER_URL=rediss://"+p.redis.Addr, "AZURE_CREDENTIAL=client_secret") // its database takes it
	if status := worker.Status(); status != 1 || worker.Printed("broker: WRONGPASS: the token does not fit the user.") != 1 {
		t.Errorf("it ended with %d; want 1 and advice", status)
	}
}

func TestWorkerLogsInToRabbitMQWithItsCertificateAlone(t *testing.T) {
	t.Parallel()
	p := onRabbitMQ(t)
	u, err := url.Parse(p.broker)
	if err != nil {
		t.Fatal(err)
	}
	u.User = nil
	startWorker(t, p, "CELERY_BROKER_URL="+u.String())
	if got := startClient(t, p, nil, "success").next("success"); got != "5" {
		t.Errorf("got %s", got)
	}
}

func TestCrashOfRabbitMQLosesNoTask(t *testing.T) {
	p := onRabbitMQ(t)
	startWorker(t, p)
	client := startClient(t, p, []string{"N=40", "SECONDS=0.5"}, "slow")
	client.next("sent")
	child.Until(t, "some are done", func() bool { return stored(t, p) >= 8 })
	b := use(t, rabbits)
	if err := b.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	if n := client.next("slow"); n != "40" {
		t.Errorf("%s results; want all 40", n)
	}
}

// What one leaves in Redis when it is killed, kombu and the other one find there.
func TestPythonWorkerTakesOverFromAKilledOneAndTheOtherWayRound(t *testing.T) {
	t.Parallel()
	p := onRedis(t)
	env := []string{"N=20", "SECONDS=0.3"}
	goWorker := func() *child.Process { return startWorker(t, p, "CELERY_VISIBILITY_TIMEOUT=2") }
	pythonWorker := func() *child.Process {
		return start(t, slices.Concat(p.client(), env), pythontest.Python, "testdata/worker.py")
	}
	for _, relay := range []struct {
		name          string
		first, second func() *child.Process
		restore       bool // by kombu itself, whose workers do so every 100 seconds
	}{
		{"Go, then Python", goWorker, pythonWorker, true},
		{"Python, then Go", pythonWorker, goWorker, false},
	} {
		t.Run(relay.name, func(t *testing.T) {
			before := stored(t, p)
			first := relay.first()
			client := startClient(t, p, env, "slow")
			client.next("sent")
			child.Until(t, "the first worker has stored some, and has more", func() bool {
				first.Signal(syscall.SIGSTOP)
				if n := stored(t, p) - before; n >= 2 && n < 20 && p.unacked(t) > 0 {
					return true
				}
				first.Signal(syscall.SIGCONT)
				return false
			})
			first.Signal(syscall.SIGKILL)
			first.Status()
			if relay.restore {
				if left := startClient(t, p, env, "restore").next("restore"); left != "0" {
					t.Errorf("kombu leaves %s", left)
				}
			}
			second := relay.second()
			if n := client.next("slow"); n != "20" {
				t.Errorf("%s results; want all 20", n)
			}
			second.Signal(syscall.SIGTERM)
			second.Status()
		})
	}
}

func TestSecretsAreMaskedInWhatIsPrinted(t *testing.T) {
	t.Parallel()
	p := onRedis(t)
	worker := startWorker(t, p)
	for _, want := range []string{"AZURE_CLIENT_SECRET=***\n", ":[redacted]@", "DB_NAME=" + p.database() + "\n"} {
		if !strings.Contains(worker.String(), want) {
			t.Errorf("the output lacks %q", want)
		}
	}
}

func TestWorkerThatCannotWorkSaysWhy(t *testing.T) {
	t.Parallel()
	p := onRedis(t)
	for name, test := range map[string]struct {
		settings []string
		want     string
	}{
		"no broker":         {[]string{"CELERY_BROKER_URL="}, "CELERY_BROKER_URL is not set"},
		"no secret":         {[]string{"AZURE_CLIENT_SECRET="}, "Azure AD credentials are missing: AZURE_CLIENT_SECRET."},
		"nothing":           {[]string{"AZURE_TENANT_ID=", "AZURE_CLIENT_ID=", "AZURE_CLIENT_SECRET=", "AZURE_SERVICE_PRINCIPAL_USER=", "DB_HOST="}, "Azure AD credentials are missing: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_SERVICE_PRINCIPAL_USER, DB_HOST."},
		"wrong secret":      {[]string{"AZURE_CLIENT_SECRET=hunter2"}, "AADSTS7000215"},
		"wrong password":    {[]string{"CELERY_BROKER_URL=rediss://default:hunter2@" + p.redis.Addr}, "broker: WRONGPASS invalid"},
		"TLS off":           {[]string{"REDIS_TLS_ENABLED=false"}, "REDIS_TLS_ENABLED must be true"},
		"unverified":        {[]string{"REDIS_TLS_VERIFY_MODE=none"}, "REDIS_TLS_VERIFY_MODE"},
		"parameter":         {[]string{"CELERY_BROKER_URL=rediss://localhost/0?ssl_keyfle=x"}, `CELERY_BROKER_URL: the parameter "ssl_keyfle" is not known here`},
		"database":          {[]string{"CELERY_BROKER_URL=rediss://u:p@localhost/zero"}, "CELERY_BROKER_URL must end in the number of a database"},
		"another authority": {[]string{"REDIS_TLS_CA_CERT=" + azure.Postgres.CAFile}, "broker: TLS: the server's certificate"},
		"nobody":            {[]string{"CELERY_BROKER_URL=amqps://localhost"}, "one of them must say who logs in"},
	} {
		t.Run(name, func(t *testing.T) {
			worker := startWorkerAtAll(t, p, test.settings...)
			if status := worker.Status(); status != 1 || !strings.Contains(worker.String(), test.want) {
				t.Errorf("it ended with %d; want 1 and %q", status, test.want)
			}
			if strings.Contains(worker.String(), "hunter2") {
				t.Error("it printed the secret")
			}
		})
	}
}
