package pythontest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process is a program at work. Its output is kept, to be searched for secrets.
type Process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // of its standard output
	done  chan struct{}
	err   error // of its end; to be read once done is closed

	mu   sync.Mutex // guards text
	text strings.Builder
}

// Python starts a program in dir that gets s.Env and more, and is ended with the test.
func (s *Site) Python(t *testing.T, dir string, more []string, args ...string) *Process {
	t.Helper()
	p := s.start(t, Python, args, dir, append(s.Env[:len(s.Env):len(s.Env)], more...))
	if environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.cmd.Process.Pid)); err == nil { // on Linux
		if found := s.Azure.Leaks(string(environment)); found != nil {
			t.Errorf("the environment of %v holds %v", args, found)
		}
	}
	return p
}

func (s *Site) start(t *testing.T, program string, args []string, dir string, env []string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(program, args...), lines: make(chan string, 10_000), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = dir, env, p
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for scan := bufio.NewScanner(stdout); scan.Scan(); {
			fmt.Fprintln(p, scan.Text())
			p.lines <- scan.Text()
		}
		close(p.lines)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.Stop(t)
		if found := s.Azure.Leaks(strings.Join(p.cmd.Args, "\n")); found != nil {
			t.Errorf("the arguments of %s hold %v", program, found)
		}
		if found := s.Azure.Leaks(p.String()); found != nil {
			t.Errorf("%v printed %v", args, found)
		}
		if t.Failed() {
			t.Logf("%v printed:\n%s", args, p)
		}
	})
	return p
}

// Write adds to what p has printed.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// String is what p has printed so far, on both streams.
func (p *Process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Say writes a line to p's standard input.
func (p *Process) Say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		t.Fatalf("%v, it printed\n%s", err, p)
	}
}

// Line waits for the next line of p's standard output.
func (p *Process) Line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			t.Fatalf("it has ended, and printed\n%s", p)
		}
		return line
	case <-time.After(patience):
		t.Fatalf("no line in %v; it printed\n%s", patience, p)
	}
	return ""
}

// Prints waits until p has printed text n times.
func (p *Process) Prints(t *testing.T, text string, n int) {
	t.Helper()
	for end := time.Now().Add(patience); p.Printed(text) < n; time.Sleep(time.Millisecond) {
		if p.ended() || time.Now().After(end) {
			t.Fatalf("%q is not there %d times in\n%s", text, n, p)
		}
	}
}

// Printed counts how often p has printed text so far.
func (p *Process) Printed(text string) int { return strings.Count(p.String(), text) }

// Wait closes p's standard input, waits until p ends and wants it to have succeeded.
func (p *Process) Wait(t *testing.T) {
	t.Helper()
	if err := p.end(); err != nil {
		t.Errorf("%v: %v", p.cmd.Args[1:], err)
	}
}

// Stop sends SIGTERM, unless p has ended. What p does then must succeed, if it does anything.
func (p *Process) Stop(t *testing.T) {
	t.Helper()
	if p.ended() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.end(); err != nil && err.Error() != "signal: terminated" {
		t.Errorf("%v: %v", p.cmd.Args[1:], err)
	}
}

func (p *Process) end() error {
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return p.err
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
