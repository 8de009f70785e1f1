package proxy_test

import (
	"strings"
	"testing"

	"github.com/azurepg/azurepg/internal/proxy"
)

func TestTCPIsForTheLoopbackInterface(t *testing.T) {
	for address, ok := range map[string]bool{
		"tcp:127.0.0.1:0": true, "tcp:127.9.9.9:0": true, "tcp:localhost:0": true, "tcp:LOCALHOST:0": true,
		"tcp::0": false, "tcp:0.0.0.0:0": false, "tcp:[::]:0": false, "tcp:10.0.0.1:0": false, "tcp:example.com:0": false,
		"tcp:localhost.example.com:0": false, "tcp:127.0.0.1": false, "tcp:": false, "": false, "5432": false, "udp:127.0.0.1:0": false,
	} {
		l, err := proxy.Listen(t.Context(), address, false)
		if (err == nil) != ok {
			t.Errorf("%q: got %v; want %v", address, err, ok)
		}
		if l != nil {
			if host := l.Addr().String(); !strings.HasPrefix(host, "127.") {
				t.Errorf("%q listens at %s", address, host)
			}
			_ = l.Close()
		}
	}
	l, err := proxy.Listen(t.Context(), "tcp:0.0.0.0:0", true)
	if err != nil {
		t.Fatalf("beyond: %v", err)
	}
	_ = l.Close()
}
