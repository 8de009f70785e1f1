package azurepg_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// resources are what a process must not lose by connects that fail.
type resources struct{ goroutines, files, sessions int }

func count(t *testing.T, s *azurepgtest.Server) resources {
	t.Helper()
	s.Entra.Transport().CloseIdleConnections()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return resources{runtime.NumGoroutine(), len(files), s.Postgres.Connections()}
}

// wantNoMore waits until nothing more is in use than before.
func wantNoMore(t *testing.T, s *azurepgtest.Server, before resources) {
	t.Helper()
	var now resources
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		now = count(t, s)
		if now.goroutines <= before.goroutines && now.files <= before.files && now.sessions <= before.sessions {
			return
		}
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("in use before: %+v; now: %+v\n%s", before, now, stacks[:runtime.Stack(stacks, true)])
}

// A stallingProxy passes a number of the server's bytes on and then no more.
type stallingProxy struct {
	host    azurepg.Host
	passed  atomic.Int64  // bytes of the server's on the first connection, counted before the client has them
	stalled chan struct{} // receives once the first connection stalls
}

// stall starts a proxy to s that stalls its first connection after limit bytes. Later
// ones, which are pgx's cancel requests, it passes on.
func stall(t *testing.T, s *azurepgtest.Server, limit int64) *stallingProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &stallingProxy{host: azurepg.Host{Name: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}, stalled: make(chan struct{}, 1)}
	go func() {
		for first := true; ; first = false {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", s.Postgres.Addr())
			if err != nil {
				_ = client.Close()
				continue
			}
			left := int64(1 << 40)
			if first {
				left = limit
			}
			go p.pass(client, server, left, first)
			go func() { // until the client hangs up
				buffer := make([]byte, 16<<10)
				for {
					n, err := client.Read(buffer)
					if _, gone := server.Write(buffer[:n]); err != nil || gone != nil {
						_, _ = client.Close(), server.Close()
						return
					}
				}
			}()
		}
	}()
	return p
}

func (p *stallingProxy) pass(client, server net.Conn, left int64, first bool) {
	buffer := make([]byte, 16<<10)
	for left > 0 {
		n, err := server.Read(buffer[:min(left, int64(len(buffer)))])
		if left -= int64(n); first {
			p.passed.Add(int64(n))
		}
		if _, gone := client.Write(buffer[:n]); err != nil || gone != nil {
			_, _ = client.Close(), server.Close()
			return
		}
	}
	p.stalled <- struct{}{}
}

// fullBacklog is a host that accepts no TCP connection: the kernel drops what comes.
func fullBacklog(t *testing.T) azurepg.Host {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	host := azurepg.Host{Name: "127.0.0.1", Port: uint16(name.(*syscall.SockaddrInet4).Port)}
	for {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", host.Port), 200*time.Millisecond)
		if err != nil {
			return host
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

// Firewalls drop what they do not know. Whether the dialer or the context is the first to
// know that the time is up makes no difference: without care it is now one, now the other.
func TestHostThatAcceptsNothingIsAlwaysTheSameTimeOut(t *testing.T) {
	noAzure(t)
	host := fullBacklog(t)
	const short = 10 * time.Millisecond
	for door, connect := range doors {
		for _, limit := range []string{"ctx", "connect_timeout"} {
			texts := map[string]bool{}
			for range 30 {
				cfg := &azurepg.Config{Hosts: []azurepg.Host{host}, User: "app", SSLMode: "require", ConnectTimeout: time.Minute, Credential: giving(bearer)}
				patience := time.Minute
				if limit == "ctx" {
					patience = short
				} else {
					cfg.ConnectTimeout = short
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				err := connect(ctx, cfg)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("%s, %s: got %v; want DeadlineExceeded", door, limit, err)
				}
				texts[err.Error()] = true
			}
			if limit == "connect_timeout" && len(texts) != 1 { // the time of ctx may be up elsewhere
				t.Errorf("%s, %s: %d texts: %v", door, limit, len(texts), texts)
			}
		}
	}
}

func TestConnectEndsWithItsContextAtEveryByteAndLeavesNothing(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	template := toHosts(t, s, "app", hostsOf(s.Postgres)...)
	template.SSLMode, template.ConnectTimeout = "verify-full", time.Minute
	keep, err := azurepg.NewConnector(template) // and with it the token
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.KeepAlive(keep)
	whole := stall(t, s, 1<<40)
	through := template.Clone()
	through.Hosts = []azurepg.Host{whole.host}
	c, err := azurepg.NewConnector(through)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	login := whole.passed.Load() // of a pool it would be a query too; and closing has an answer
	_ = conn.Close()
	for _, door := range loginDoors {
		t.Run(door, func(t *testing.T) {
			proxies := []*stallingProxy{{host: fullBacklog(t)}}
			const answer = 1 // to the SSLRequest, one byte; TLS, the request for a password and the welcome follow
			proxies = append(proxies, stall(t, s, 0))
			for i := range int64(15) { // the length of a login differs by some bytes
				proxies = append(proxies, stall(t, s, answer+i*(login-answer-20)/14))
			}
			defer debug.SetGCPercent(debug.SetGCPercent(-1)) // else a finalizer closes what was left open
			before := count(t, s)
			for i, p := range proxies {
				cfg := template.Clone()
				cfg.Hosts = []azurepg.Host{p.host}
				ctx, cancel := context.WithCancelCause(t.Context())
				why := errors.New("the caller has left")
				stalled := make(chan time.Time, 1)
				go func() {
					if p.stalled != nil {
						select {
						case <-p.stalled:
						case <-ctx.Done(): // the login was shorter
						}
					}
					select { // what the server said last is read by now
					case <-time.After(50 * time.Millisecond):
					case <-ctx.Done():
					}
					stalled <- time.Now()
					cancel(why)
				}()
				err := doors[door](ctx, cfg)
				cancel(nil)
				left := time.Since(<-stalled)
				if !errors.Is(err, context.Canceled) && !errors.Is(err, why) {
					t.Errorf("stage %d of 17: got %v; want the context's error", i, err)
				}
				if left > 5*time.Second {
					t.Errorf("stage %d of 17: it took %v to leave", i, left)
				}
			}
			wantNoMore(t, s, before)
		})
	}
}
