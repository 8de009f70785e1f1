//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

// The tests run this binary as the worker, with runVariable set.
const runVariable = "CELERY_WORKER_TEST_RUN"

// A process is a worker or a client, in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	output output // all of a worker, standard error of a client
	exited chan struct{}
}

// start runs a program. When the test ends it is killed, and its output searched.
func start(t *testing.T, env []string, stdout io.Writer, program string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program, args...), exited: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, stdout, &p.output
	if stdout == nil {
		p.cmd.Stdout = &p.output
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState says how
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if found := secretsIn(p.output.String()); found != nil {
			t.Errorf("the output of %s %q holds %q", program, args, found)
		}
		if t.Failed() {
			t.Logf("the output of %s %q:\n%s", program, args, p.output.String())
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns the exit status, -1 if the process was killed.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(2 * time.Minute):
		p.t.Fatal("it does not end")
		return 0
	}
}

// An output is what a process has printed until now.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startWorkerAtAll runs a worker, which may have reasons to end at once.
func startWorkerAtAll(t *testing.T, p place, settings ...string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, slices.Concat(p.worker(), settings, []string{runVariable + "=1"}), nil, program)
}

// startWorker returns when the worker has begun.
func startWorker(t *testing.T, p place, settings ...string) *process {
	t.Helper()
	w := startWorkerAtAll(t, p, settings...)
	eventually(t, "the worker works", func() bool { return strings.Contains(w.output.String(), " works on queue ") })
	return w
}

// A client is Python with functions of testdata/client.py.
type client struct {
	*process
	lines *bufio.Scanner
}

func startClient(t *testing.T, p place, env []string, functions ...string) client {
	t.Helper()
	r, w := io.Pipe()
	c := client{start(t, slices.Concat(p.client(), env), w, pythontest.Python, append([]string{"testdata/client.py"}, functions...)...), bufio.NewScanner(r)}
	go func() {
		<-c.exited
		_ = w.Close()
	}()
	t.Cleanup(func() { _ = r.CloseWithError(errors.New("the test has ended")) })
	return c
}

// next is what the client prints next for name, as JSON.
func (c client) next(name string) string {
	c.t.Helper()
	if !c.lines.Scan() {
		c.t.Fatalf("the client ended with %d before it printed %q", c.wait(), name)
	}
	var line map[string]json.RawMessage
	if err := json.Unmarshal(c.lines.Bytes(), &line); err != nil || line[name] == nil {
		c.t.Fatalf("the client printed %q; want %q", c.lines.Text(), name)
	}
	return string(line[name])
}

// eventually waits, for two minutes at most, until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it has not come about that %s", what)
		}
	}
}
