package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// openTerminal returns the two ends of a pseudo-terminal: a person's, and the program's.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	var number, unlocked uint32
	for request, arg := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &unlocked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
			t.Fatal(errno)
		}
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, program
}

// At a terminal Ctrl-C ends the query, and not the session: azurepg is out of the way.
func TestControlCAtATerminalEndsTheQueryAlone(t *testing.T) {
	person, program := openTerminal(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel() // ends the reading too
	cmd := exec.CommandContext(ctx, binary, "psql", "", "--", "-XAtn", "-P", "pager=off")
	cmd.Env = environment(azure)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = program.Close()
	out := bufio.NewReader(person)
	var all strings.Builder
	until := func(text string) {
		t.Helper()
		for {
			line, err := out.ReadString('\n')
			all.WriteString(line)
			if err != nil {
				t.Fatalf("%v before %q, after\n%s", err, text, &all)
			}
			if strings.HasSuffix(strings.TrimSpace(line), text) { // behind a prompt or ^C
				return
			}
		}
	}
	say := func(text string) {
		t.Helper()
		if _, err := person.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	say("\\echo ready\n")
	until("ready")
	say("select pg_sleep(3601);\n")
	waitForQuery(t, "select pg_sleep(3601);")
	const controlC = "\x03"
	say(controlC)
	until("ERROR:  canceling statement due to user request")
	say("select 'tick' \\watch 0.2\n")
	until("tick")
	until("tick")
	say(controlC)
	say("select 'after' || 'wards';\n")
	until("afterwards")
	say("\\q\n")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v, after\n%s", err, &all)
	}
	wantNoLeak(t, azure, all.String())
}
