package proxy_test

import (
	"crypto/rand"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg/internal/proxy"
)

func TestGarbageIsHungUpOn(t *testing.T) {
	leavesNothing(t)
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{StartupTimeout: patience})
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	noise[0] = 0x80 // a length of gigabytes
	for name, packet := range map[string][]byte{
		"noise":          noise,
		"TLS handshake":  append([]byte{0x16, 3, 1, 0, 200, 1}, noise[:200]...),
		"HTTP":           []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"zeros":          make([]byte, 100),
		"too short":      {0, 0, 0, 7, 0, 3, 0},
		"oversized":      {0, 0, 0x27, 0x11, 0, 3, 0, 0},
		"no end of name": {0, 0, 0, 8, 0, 3, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t)
			write(t, conn, packet)
			wantEnd(t, conn)
		})
	}
	if got := s.metric(t, "sessions_total"); got != "0" {
		t.Errorf("%s sessions; want none", got)
	}
}

func TestSlowClientsAreCutAtTheStartupTimeout(t *testing.T) {
	leavesNothing(t)
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{StartupTimeout: 50 * time.Millisecond})
	for name, sent := range map[string][]byte{
		"nothing": nil, "half a length": goodPacket[:2], "half a packet": goodPacket[:11], "TLS asked for": sslRequest,
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t)
			write(t, conn, sent)
			if len(sent) == len(sslRequest) {
				_, _ = io.ReadFull(conn, make([]byte, 1))
			}
			wantEnd(t, conn)
		})
	}
	t.Run("byte by byte", func(t *testing.T) {
		conn := s.dial(t)
		packet := startupPacket(version30, "user", strings.Repeat("u", 9000))
		for i := range packet {
			if _, err := conn.Write(packet[i : i+1]); err != nil {
				return // it was cut
			}
			time.Sleep(time.Millisecond) // as such clients do
		}
		t.Error("it was not cut before the whole packet was sent")
	})
}

func TestClientsBeyondTheLimitAreTold(t *testing.T) {
	leavesNothing(t)
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{MaxConnections: 3, StartupTimeout: patience})
	var in []net.Conn
	for range 3 {
		conn := s.dial(t)
		enter(t, conn)
		in = append(in, conn)
	}
	late := s.dial(t)
	write(t, late, goodPacket)
	wantError(t, late, "53300")

	key := s.dial(t)
	write(t, key, cancelPacket([]byte("no key at all"))) // needs no place
	wantEnd(t, key)

	var silent []net.Conn
	for range 3 {
		silent = append(silent, s.dial(t))
	}
	eventually(t, "all doors are taken", func() bool { return s.metric(t, "connections") == "6" })
	wantError(t, s.dial(t), "53300") // before a word of its own

	for _, conn := range append(in, silent...) {
		_ = conn.Close()
	}
	eventually(t, "the places are free", func() bool { return s.metric(t, "connections") == "0" })
	enter(t, s.dial(t))
}

func TestThousandsOfConnectsLeaveNothing(t *testing.T) {
	leavesNothing(t)
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{MaxConnections: 20, StartupTimeout: patience})
	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			for j := range 150 {
				conn, err := net.Dial("tcp", s.addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.SetDeadline(time.Now().Add(patience))
				switch (i + j) % 4 {
				case 0:
					_, _ = conn.Write(goodPacket[:j%len(goodPacket)])
				case 1:
					_, _ = conn.Write(sslRequest)
				case 2:
					_, _ = conn.Write(cancelPacket([]byte("12345678")))
				}
				_ = conn.Close()
			}
		})
	}
	clients.Wait()
	eventually(t, "all are served", func() bool {
		return s.metric(t, "connections_accepted_total") == "3000" && s.metric(t, "connections") == "0"
	})
	enter(t, s.dial(t))
}
