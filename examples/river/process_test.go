//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// lifetime of every token.
const lifetime = 3 * time.Second

var azure *azurepgtest.Server

// The tests run this binary as the program, with runVariable set.
const runVariable = "RIVER_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(runVariable) != "" {
		main()
		return
	}
	os.Exit(func() int {
		var err error
		if azure, err = azurepgtest.New(nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer azure.Close()
		azure.Entra.SetLifetime(lifetime)
		return m.Run()
	}())
}

// A process is the program in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *output
	id     string // a worker's name in River
	exited chan error
}

var errKilled = errors.New("killed")

// start runs the program. When the test ends it is killed, and its output searched.
func start(t *testing.T, dsn string, args ...string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(program, args...), output: &output{}, exited: make(chan error, 1)}
	p.cmd.Env = append(azure.Env(), "DATABASE_URL="+dsn, runVariable+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if found := azure.Leaks(p.output.String()); found != nil {
			t.Errorf("the output of %q holds %q", args, found)
		}
		if t.Failed() {
			t.Logf("the output of %q:\n%s", args, p.output)
		}
	})
	go func() {
		p.exited <- p.cmd.Wait()
		close(p.exited)
	}()
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// waitFor waits for the end of the process, which is that of a success if want is nil.
func (p *process) waitFor(want error) {
	p.t.Helper()
	select {
	case err := <-p.exited:
		status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		killed := status.Signaled() && status.Signal() == syscall.SIGKILL
		if (want == nil && err != nil) || (want == errKilled && !killed) {
			p.t.Fatalf("it ended with %v; want %v", err, want)
		}
	case <-time.After(time.Minute):
		p.t.Fatal("it does not end")
	}
}

// An output is what a process has printed until now.
type output struct {
	mu   sync.Mutex // guards text
	text strings.Builder
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

// eventually waits, for two minutes at most, until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it has not come about that %s", what)
		}
	}
}
