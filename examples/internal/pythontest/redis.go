package pythontest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Redis starts one of the test's own and returns its socket: a broker that no other test
// can take for its own.
func (s *Site) Redis(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		const say = "no redis-server, which is Celery's broker here: install Debian's (sh tools/setup.sh python)"
		if os.Getenv("CI") == "true" {
			t.Fatal(say)
		}
		t.Skip(say)
	}
	socket := filepath.Join(s.Home, "redis")
	p := s.start(t, program, []string{"--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"}, s.Home, nil)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			return socket
		}
		if p.ended() || time.Now().After(end) {
			t.Fatalf("Redis does not answer: %v\n%s", err, p)
		}
	}
}
