package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/proxy"
)

// runProxy is "azurepg proxy" with a command line that cannot work.
func runProxy(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), &streams{strings.NewReader(""), &out, &out}, append([]string{"proxy"}, args...))
	return code, out.String()
}

func TestProxyRefusesWhatCannotWork(t *testing.T) {
	const dsn = "postgres://app@localhost/shop"
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"no listener":        {[]string{dsn}, "-listen is missing"},
		"everybody's port":   {[]string{"-listen", "tcp:0.0.0.0:0", dsn}, "loopback interface only"},
		"no address":         {[]string{"-listen", "5432", dsn}, "no address to listen at"},
		"everybody's socket": {[]string{"-listen", "unix:" + filepath.Join(openDirectory(t), "s"), dsn}, "open to others"},
		"two DSNs":           {[]string{"-listen", "tcp:127.0.0.1:0", dsn, dsn}, "one DSN"},
		"a password":         {[]string{"-listen", "tcp:127.0.0.1:0", "postgres://app:hunter2@localhost/shop"}, "a password is given"},
		"a health address":   {[]string{"-listen", "tcp:127.0.0.1:0", "-health", "nowhere", dsn}, "-health"},
	} {
		code, said := runProxy(t, tt.args...)
		if code != exitUsage || !strings.Contains(said, tt.says) || strings.Contains(said, "hunter2") {
			t.Errorf("%s: exit code %d: %s; want %d and %q", name, code, said, exitUsage, tt.says)
		}
	}
}

// openDirectory is one that other users can enter.
func openDirectory(t *testing.T) string {
	t.Helper()
	return filepath.Dir(filepath.Dir(t.TempDir())) // that of all tests
}

func TestLogOfTheProxyHidesSecrets(t *testing.T) {
	for _, json := range []bool{false, true} {
		var said bytes.Buffer
		logger := (&proxyFlags{json: json}).logger(&streams{err: &said})
		logger.Warn("login failed", "error", "at postgres://u:HUNTER2@h/d")
		if text := said.String(); !strings.Contains(text, "login failed") || strings.Contains(text, "HUNTER2") {
			t.Errorf("json %v: it says %s", json, text)
		}
	}
}

// A listener at which one client has come, over a pipe.
type oneClient struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *oneClient) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneClient) Close() error   { close(l.done); return nil }
func (l *oneClient) Addr() net.Addr { return &net.TCPAddr{} }

func TestNoClientHoldsOnToHealth(t *testing.T) {
	for name, says := range map[string]string{
		"silent": "", "half a request": "GET /livez HT", "reads nothing": "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, err := proxy.New(&azurepg.Config{Hosts: []azurepg.Host{{Name: "localhost"}}, User: "app", Credential: azurepgtest.NewCredential("app")}, proxy.Options{})
				if err != nil {
					t.Fatal(err)
				}
				client, conn := net.Pipe()
				l := &oneClient{make(chan net.Conn, 1), make(chan struct{})}
				l.conn <- conn
				web := newWeb(server, slog.New(slog.DiscardHandler))
				go func() { _ = web.Serve(l) }()
				defer web.Close()
				if _, err := io.WriteString(client, says); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				_ = client.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := io.ReadAll(client); err != nil {
					t.Errorf("it still has its connection: %v", err)
				}
			})
		})
	}
}

func TestHealthHangsUpOnClientsBeyondItsLimit(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const most = 3
	web := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = web.Serve(newLimited(l, most)) }()
	defer web.Close()
	// ask returns a client that is connected still, or nil.
	ask := func() net.Conn {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = client.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if _, err := io.ReadFull(client, make([]byte, 8)); err != nil {
			_ = client.Close()
			return nil
		}
		return client
	}
	var in []net.Conn
	for range most {
		in = append(in, ask())
	}
	if slices.Contains(in, nil) || ask() != nil {
		t.Fatalf("of %d clients not all are in, or one more is", most)
	}
	_ = in[0].Close()
	for end := time.Now().Add(time.Minute); ; { // the server has to notice
		if client := ask(); client != nil {
			_ = client.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("a place that was left is not given to another")
		}
	}
	for _, client := range in {
		_ = client.Close()
	}
}

func TestProxyTellsSystemdOnceThatItListens(t *testing.T) {
	socket := systemd(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code := make(chan int, 1)
	go func() {
		std := &streams{strings.NewReader(""), io.Discard, io.Discard}
		code <- run(ctx, std, []string{"proxy", "-listen", "tcp:127.0.0.1:0", "host=localhost user=app"})
	}()
	buffer := make([]byte, 100)
	if n, err := socket.Read(buffer); err != nil || string(buffer[:n]) != "READY=1" {
		t.Errorf("systemd was told %q, %v", buffer[:n], err)
	}
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
	_ = socket.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // what was said is there
	if n, err := socket.Read(buffer); err == nil {
		t.Errorf("systemd was told once more: %q", buffer[:n])
	}
}

func TestProxyHelpNamesEveryFlag(t *testing.T) {
	code, said := runProxy(t, "-h")
	for _, want := range []string{"-listen address", "-listen-beyond-this-machine", "-health", "-allow-database", "-max-connections", "-startup-timeout",
		"-idle-timeout", "-drain", "-log-json", "-verbose", "default 100", "default 10s", "default 20s"} {
		if code != 0 || !strings.Contains(said, want) {
			t.Errorf("exit code %d; the help does not say %q", code, want)
		}
	}
}
