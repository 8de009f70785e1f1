package brokertest

import (
	"io"
	"testing"

	"github.com/azurepg/azurepg/internal/loopback"
)

// A Program is one that a test has started, such as a server with a configuration of its
// own. It ends with the test, and with the process, even a killed one.
type Program struct{ process *process }

// Run starts a program in dir with only that environment beside PATH. What it prints is
// added to the file log.
func Run(tb testing.TB, dir, log string, env []string, program string, args ...string) *Program {
	tb.Helper()
	p, err := start(dir, log, env, program, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return (&Program{p}).endWith(tb)
}

// RedisFor starts a Redis with an authority of its own, until the test ends.
func RedisFor(tb testing.TB) *Redis {
	tb.Helper()
	authority, err := NewAuthority()
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, authority)
	r, err := StartRedis(authority, nil)
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, r)
	return r
}

func closeAtEnd(tb testing.TB, c io.Closer) {
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
}

func (p *Program) endWith(tb testing.TB) *Program {
	tb.Cleanup(func() {
		if err := p.process.kill(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// Await waits until ask succeeds, and ends the test if the program ends before
// that.
func (p *Program) Await(tb testing.TB, ask func() error) {
	tb.Helper()
	if err := p.process.answers(ask); err != nil {
		tb.Fatal(err)
	}
}

// Node starts an epmd for a RabbitMQ whose files are all in dir, and returns the
// environment that keeps the node, and the programs that ask it, away from the machine's
// own files, ports and names.
func Node(tb testing.TB, dir string) []string {
	tb.Helper()
	epmdPort, distPort := loopback.HeldPort(tb), loopback.HeldPort(tb)
	epmd, err := startEpmd(dir, epmdPort)
	if err != nil {
		tb.Fatal(err)
	}
	(&Program{epmd}).endWith(tb)
	b := &RabbitMQ{dir: &directory{path: dir}, port: epmdPort, epmdPort: epmdPort, distPort: distPort}
	return b.environment()
}
