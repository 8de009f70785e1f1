// Package child runs programs beside a test, in processes of their own. What they print is
// kept, searched for secrets, and shown if the test fails.
package child

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is for a machine that is busy with other tests.
const patience = 3 * time.Minute

// A Process is a program at work. Its methods end the test where what they wait for does
// not come.
type Process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	all   Output // of both streams
	lines Output // of standard output alone
	taken int    // how much of lines Line has returned

	exited chan struct{} // closed when cmd.ProcessState says how
}

// Start starts cmd, whose streams are Start's to set. The process ends with the test, if
// not before; then leaks must find nothing in its arguments and in what it has printed.
func Start(t *testing.T, leaks func(text string) []string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&p.all, &p.lines), &p.all
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.exited
		if found := leaks(strings.Join(cmd.Args, "\n")); found != nil {
			t.Errorf("the arguments of %s hold %q", cmd.Path, found)
		}
		if found := leaks(p.String()); found != nil {
			t.Errorf("the output of %q holds %q", cmd.Args, found)
		}
		if t.Failed() {
			t.Logf("the output of %q:\n%s", cmd.Args, p)
		}
	})
	return p
}

// PID is the process's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// String is what p has printed so far, on both streams.
func (p *Process) String() string { return p.all.String() }

// Printed counts how often p has printed text so far.
func (p *Process) Printed(text string) int { return strings.Count(p.String(), text) }

// Prints waits until p has printed text n times.
func (p *Process) Prints(text string, n int) {
	p.t.Helper()
	p.await(text, func() bool { return p.Printed(text) >= n })
}

// Line waits for the next line of p's standard output.
func (p *Process) Line() (line string) {
	p.t.Helper()
	p.await("a line", func() (whole bool) {
		line, _, whole = strings.Cut(p.lines.String()[p.taken:], "\n")
		return whole
	})
	p.taken += len(line) + 1
	return strings.TrimSuffix(line, "\r")
}

// await waits for something that p prints, at most until it ends.
func (p *Process) await(what string, printed func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; {
		ended := p.Ended() // before the last look
		if printed() {
			return
		}
		if ended || time.Now().After(end) {
			p.t.Fatalf("waited in vain for %s of %q; it has ended: %v", what, p.cmd.Args, ended)
		}
		select {
		case <-p.exited:
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Say writes a line to p's standard input.
func (p *Process) Say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Ended tells whether p has.
func (p *Process) Ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Status closes p's standard input, waits until p ends, and returns its exit status: -1 if
// a signal has ended it.
func (p *Process) Status() int {
	p.t.Helper()
	_ = p.stdin.Close()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("%q does not end", p.cmd.Args)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Succeeds waits like Status, and wants 0.
func (p *Process) Succeeds() {
	p.t.Helper()
	if status := p.Status(); status != 0 {
		p.t.Errorf("%q ended with %d", p.cmd.Args, status)
	}
}

// Stop sends SIGTERM, unless p has ended, and waits. What p does then must succeed, if it
// does anything.
func (p *Process) Stop() {
	p.t.Helper()
	if p.Ended() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if status := p.Status(); status > 0 {
		p.t.Errorf("%q ended with %d", p.cmd.Args, status)
	}
}
