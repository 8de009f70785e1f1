package loopback

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
)

func TestHeldPortIsNobodyElses(t *testing.T) {
	t.Parallel()
	port, release, err := HoldPort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for range 2 {
		if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a client got %v; want ECONNREFUSED", err)
		}
		// A client is given a port as one that asks for it without SO_REUSEADDR.
		elsewhere := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}}
		if _, err := elsewhere.Dial("tcp", address); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a client with that port got %v; want EADDRINUSE", err)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		l.Close()
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
