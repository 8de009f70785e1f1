package proxy_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/proxy"
)

// What the tests of this package share; the first to ask for it makes it.
var (
	azure = sync.OnceValues(func() (*azurepgtest.Server, error) {
		s, err := azurepgtest.New(nil)
		started = s
		return s, err
	})
	started *azurepgtest.Server

	program = sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "azurepg-proxy-")
		if err != nil {
			return "", err
		}
		built = dir
		path := filepath.Join(dir, "azurepg")
		out, err := exec.Command("go", "build", "-o", path, "../../cmd/azurepg").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go build: %w: %s", err, out)
		}
		return path, nil
	})
	built string
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		if err := started.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

func sharedAzure(tb testing.TB) *azurepgtest.Server {
	tb.Helper()
	s, err := azure()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// patience is for what is sure to come, on a machine however busy.
const patience = time.Minute

// eventually waits until is returns true.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("it has not come about within %v: %s", patience, what)
		}
	}
}

// A served is a Server in this process.
type served struct {
	*proxy.Server
	addr  string // 127.0.0.1:port
	drain func() // ends it, as SIGTERM does
	now   func() // ends the drain
	done  chan error
}

// serve serves dsn at a TCP port until the test ends.
func serve(tb testing.TB, dsn string, options proxy.Options) *served {
	tb.Helper()
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	return serveConfig(tb, cfg, options)
}

func serveConfig(tb testing.TB, cfg *azurepg.Config, options proxy.Options) *served {
	tb.Helper()
	server, err := proxy.New(cfg, options)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := proxy.Listen(tb.Context(), "tcp:127.0.0.1:0", false)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, drain := context.WithCancel(context.Background())
	now, end := context.WithCancel(context.Background())
	s := &served{Server: server, addr: l.Addr().String(), drain: drain, now: end, done: make(chan error, 1)}
	go func() { s.done <- server.Serve(ctx, now, l) }()
	tb.Cleanup(func() {
		drain()
		end()
		select {
		case err := <-s.done:
			if err != nil {
				tb.Error(err)
			}
			s.done <- nil
		case <-time.After(patience):
			tb.Error("the proxy does not end")
		}
	})
	return s
}

// dsn is how a Go client logs in through s.
func (s *served) dsn() string {
	return "postgres://whoever@" + s.addr + "/postgres?sslmode=disable"
}

func (s *served) dial(tb testing.TB) *net.TCPConn {
	tb.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// metric returns the number of that name.
func (s *served) metric(tb testing.TB, name string) string {
	tb.Helper()
	return metricIn(tb, get(tb, s.Health(), "/metrics").Body.String(), name)
}

func metricIn(tb testing.TB, text, name string) string {
	tb.Helper()
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, "azurepg_proxy_"+name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	tb.Fatalf("there is no metric %q in:\n%s", name, text)
	return ""
}
