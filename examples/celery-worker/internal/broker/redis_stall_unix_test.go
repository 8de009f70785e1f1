//go:build unix

package broker

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A server that has been silent for longer than go-redis waits by itself still does what
// it was sent, also if nobody waits for the answer any more.
func TestServerThatStallsForSecondsLosesNoMessage(t *testing.T) {
	client, newRedis := startRedis(t)
	r := newRedis()
	push(t, client, envelope("a"), envelope("b"))
	receive(t, r) // now it has a connection, and the server its script
	info, err := client.Info(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(info, "\r\nprocess_id:")
	var pid int
	if _, err := fmt.Sscan(after, &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resumed := make(chan error, 1)
	time.AfterFunc(6*time.Second, func() { resumed <- syscall.Kill(pid, syscall.SIGCONT) })
	defer func() {
		if err := <-resumed; err != nil {
			t.Error(err)
		}
	}()
	if d := receive(t, r); id(d) != `"b"` {
		t.Errorf("received %s", d.Headers)
	}
}
