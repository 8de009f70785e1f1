package azurepg_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// IMDS lets few requests pass. One identity asks once, however many connects wait;
// several identities get in each other's way, and all are served.
func TestThrottledIdentityEndpointServesEveryIdentity(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	s.Identity.Fault(azurepgtest.Hang)
	const identities, connects, atOnce = 12, 4, 5
	s.Identity.SetLimits(atOnce, 20)
	var pools []*sql.DB
	for i := range identities {
		pools = append(pools, open(t, s.DSN(s.AddManagedIdentity(fmt.Sprintf("throttled-%d", i)).Name)))
	}
	var wg sync.WaitGroup
	for _, db := range pools {
		for range connects {
			wg.Go(func() {
				conn, err := db.Conn(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = conn.Close() }()
				if err := conn.PingContext(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	waitFor(t, "throttling of those beyond the first", func() bool { return s.Identity.Throttled() >= identities-atOnce })
	s.Identity.ClearFaults()
	wg.Wait()
	if served := s.Identity.TokenRequests() - s.Identity.Throttled(); served != identities {
		t.Errorf("%d tokens for %d identities; want one each", served, identities)
	}
}

// A machine whose clock is wrong still logs in: what counts is how long a token lives.
func TestMachineWithAWrongClockLogsIn(t *testing.T) {
	noAzure(t)
	for _, ahead := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		s := azurepgtest.Start(t)
		s.SetClock(ahead)
		s.AddManagedIdentity("identity")
		for _, role := range []string{"app", "identity"} {
			wantUser(t, open(t, s.DSN(role)), role)
		}
	}
}

// slowly is the Config of a server behind a line on which each of the first packets of
// the server, those of the TLS handshake, takes so long.
func slowly(t *testing.T, s *azurepgtest.Server, each time.Duration) *azurepg.Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", s.Postgres.Addr())
			if err != nil {
				_ = client.Close()
				return
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() { crawl(client, server, each); _ = client.Close() }()
		}
	}()
	cfg := toHosts(t, s, "app", azurepg.Host{Name: s.Postgres.Host, Port: uint16(l.Addr().(*net.TCPAddr).Port)})
	return cfg
}

// crawl copies from server to client, the first 200 bytes of each of three reads slowly.
func crawl(client, server net.Conn, each time.Duration) {
	buffer := make([]byte, 200)
	for range 3 {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		time.Sleep(each) // the line, which has no channel to wait for
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
	_, _ = io.Copy(client, server)
}

func TestSlowTLSHandshakeIsWaitedForWithinTheCallersTime(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	cfg := slowly(t, s, 100*time.Millisecond)
	for _, door := range loginDoors {
		if err := doors[door](t.Context(), cfg); err != nil {
			t.Errorf("%s: %v", door, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := doors[door](ctx, cfg); err == nil || ctx.Err() == nil {
			t.Errorf("%s: got %v; want the end of the caller's time", door, err)
		}
		cancel()
	}
}
