package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/brokertest"
	"github.com/azurepg/azurepg/examples/internal/child"
	"github.com/redis/go-redis/v9"
)

// servers are what the tests share: Entra, and a Redis behind a front.
type servers struct {
	azure     *azurepgtest.Server
	authority *brokertest.Authority
	redis     *brokertest.Redis
	front     *brokertest.Front
}

var (
	start   = sync.OnceValues(startServers)
	started servers
)

func startServers() (s *servers, err error) {
	s = &started
	if s.azure, err = azurepgtest.New(&azurepgtest.Options{NoPostgres: true}); err != nil {
		return nil, err
	}
	if s.authority, err = brokertest.NewAuthority(); err != nil {
		return nil, err
	}
	if s.redis, err = brokertest.StartRedis(s.authority, nil); err != nil {
		return nil, err
	}
	s.front, err = brokertest.StartFront(s.redis, s.azure)
	return s, err
}

func TestMain(m *testing.M) {
	redis.SetLogger(&goRedis)
	code := m.Run()
	if err := started.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func (s *servers) close() (err error) {
	if s.front != nil {
		err = errors.Join(err, s.front.Close())
	}
	if s.redis != nil {
		err = errors.Join(err, s.redis.Close())
	}
	if s.authority != nil {
		err = errors.Join(err, s.authority.Close())
	}
	if s.azure != nil {
		err = errors.Join(err, s.azure.Close())
	}
	return err
}

// A program is a new service principal with a policy on the Redis, and all that is
// printed on its behalf, which must hold no secret when the test ends.
type program struct {
	*servers
	principal *azurepgtest.Principal
	output    *child.Output
	logger    *slog.Logger
}

// newProgram sets the environment. An empty policy is none.
func newProgram(t *testing.T, policy string) *program {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	output := new(child.Output)
	p := &program{s, s.azure.AddServicePrincipal(t.Name()), output, slog.New(slog.NewTextHandler(output, nil))}
	if policy != "" {
		if err := s.front.Grant(t.Context(), p.principal.ObjectID, policy); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"REDIS_ADDR": s.front.Addr, "REDIS_URL": "", "REDIS_TLS_CA_CERT": s.authority.CAFile,
		"REDIS_TLS_CERT_FILE": s.redis.Client.CertFile, "REDIS_TLS_KEY_FILE": s.redis.Client.KeyFile,
		"AZURE_CREDENTIAL": "client_secret", "AZURE_TENANT_ID": p.principal.TenantID,
		"AZURE_CLIENT_ID": p.principal.ClientID, "AZURE_CLIENT_SECRET": p.principal.Secret,
	} {
		t.Setenv(name, value)
	}
	goRedis.to.Store(output)
	t.Cleanup(func() {
		goRedis.to.Store(nil)
		brokertest.NoLeaks(t, s.azure, output.String())
	})
	return p
}

// goRedis is what go-redis logs to, and passes it on to the program of the test that runs.
// SetLogger is a plain assignment, beside which clients of an earlier test may still log: it
// is called once.
var goRedis lastLogger

type lastLogger struct{ to atomic.Pointer[child.Output] }

func (l *lastLogger) Printf(ctx context.Context, format string, args ...any) {
	if to := l.to.Load(); to != nil {
		to.Printf(ctx, format, args...)
	}
}

// connect is a client of the program without retries, which could hide a failure.
func (p *program) connect(t *testing.T) *client {
	t.Helper()
	c, err := connect(t.Context(), p.logger)
	if err != nil {
		t.Fatal(err)
	}
	c.Options().MaxRetries = 0
	t.Cleanup(func() { c.Close() })
	return c
}

func TestHelloLogsInAsTheObjectIDInTheToken(t *testing.T) {
	p := newProgram(t, "~* &* +@all")
	if err := run(t.Context(), []string{"hello"}, p.output, p.logger); err != nil {
		t.Fatal(err)
	}
	if want := "Hello, Redis, says " + p.principal.ObjectID + "\n"; !strings.HasSuffix(p.output.String(), want) {
		t.Errorf("it printed %q; want %q at the end", p.output, want)
	}
	if want := "AZURE_CLIENT_SECRET=***\n"; !strings.Contains(p.output.String(), want) {
		t.Errorf("it printed %q; want %q in it", p.output, want)
	}
}

func TestHelloTakesAURL(t *testing.T) {
	p := newProgram(t, "~* &* +@all")
	t.Setenv("REDIS_ADDR", "")
	t.Setenv("REDIS_URL", "rediss://"+p.front.Addr+"/3")
	if err := run(t.Context(), []string{"hello"}, p.output, p.logger); err != nil {
		t.Fatal(err)
	}
	admin := *p.redis.Admin().Options()
	admin.DB = 3
	c := redis.NewClient(&admin)
	defer c.Close()
	if value, err := c.Get(t.Context(), "azurepg:hello").Result(); err != nil || value != "Hello, Redis" {
		t.Errorf("database 3 has %q, %v", value, err)
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	for name, test := range map[string]struct{ policy, want string }{
		"no policy":     {"", "WRONGPASS: the token does not fit the user."},
		"a reader":      {"~* &* +@read +@connection", "NOPERM: the login was good, but"},
		"another's key": {"~other* &* +@all", "NOPERM: the login was good, but"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t, test.policy)
			err := run(t.Context(), []string{"hello"}, p.output, p.logger)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || !strings.Contains(err.Error(), "policy") {
				t.Errorf("got %v; want %s", err, test.want)
			}
			fmt.Fprintln(p.output, err)
		})
	}
}

// A token that ends while a connection lives is nothing to go-redis: this is what
// lifetimes are for, and shows that the front is as hard as Azure.
func TestWithoutLifetimesConnectionsAreCut(t *testing.T) {
	p := newProgram(t, "~* &* +@all")
	p.azure.Entra.SetLifetime(5 * time.Second)
	cut := p.front.Cut()
	c := p.connect(t)
	options := *c.Options()
	options.ConnMaxLifetime, options.MaxRetries = 0, -1
	forever := redis.NewClient(&options)
	defer forever.Close()
	pubsub := forever.Subscribe(t.Context(), "channel")
	defer pubsub.Close()
	if _, err := pubsub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := pubsub.Receive(t.Context()); err == nil {
		t.Error("a subscription outlives its token")
	}
	err := forever.BLPop(t.Context(), time.Minute, "nothing").Err()
	if err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("BLPOP outlives its token: %v", err)
	}
	if n := p.front.Cut() - cut; n < 2 {
		t.Errorf("the front has cut %d connections; want 2", n)
	}
}

func TestNothingFailsWhileTokensEnd(t *testing.T) {
	p := newProgram(t, "~* &* +@all")
	p.azure.Entra.SetLifetime(8 * time.Second)
	c := p.connect(t)
	cut := p.front.Cut()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error)
	go func() { ended <- reauth(ctx, c, p.output) }()
	// Three generations of tokens: those of the first have ended when the third begins.
	child.Until(t, "tokens", func() bool { return c.login.Tokens.Stats().Fetches >= 4 })
	stop()
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, p.output)
	}
	t.Log(p.output)
	// All connections that idled are cut. That must not show either.
	idle := c.PoolStats().IdleConns
	child.Until(t, "cuts", func() bool { return p.front.Cut() > cut })
	t.Logf("%d connections cut, %d were idle", p.front.Cut()-cut, idle)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := c.Ping(t.Context()).Err(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestSubscriptionLosesAndRepeatsNothingWhileItMoves(t *testing.T) {
	p := newProgram(t, "~* &* +@all")
	p.azure.Entra.SetLifetime(time.Hour)
	c := p.connect(t)
	c.login.Subscription = 5 * time.Millisecond
	const moves = 20
	got := make(chan string, 100_000)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended, ready := make(chan error), make(chan struct{})
	s := c.subscribe("numbers", func(m string) { got <- m }, func(err error) { t.Error(err) })
	go func() { ended <- s.run(ctx, func() { close(ready) }) }()
	<-ready
	published, before := 0, p.front.Logins()
	child.Until(t, "moves", func() bool {
		for range 100 { // faster than it moves
			if err := p.redis.Admin().Publish(ctx, "numbers", published).Err(); err != nil {
				t.Fatal(err)
			}
			published++
		}
		return p.front.Logins()-before >= moves || published == cap(got)
	})
	if n := p.front.Logins() - before; n < moves {
		t.Errorf("it moved %d times while %d messages were published; want %d", n, published, moves)
	}
	for i := range published {
		select {
		case m := <-got:
			if m != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, m)
			}
		case <-time.After(time.Minute):
			t.Fatalf("message %d does not arrive", i)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
