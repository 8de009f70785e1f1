//go:build unix

package azurepgtest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// azScript talks with the Server through named pipes, since a plain sh can rely on
// little else: the pipe "calls" takes one line per call, "reply-pipe args…", short
// enough to be written at once; the answer is one line, "0" or "1" and the output. The
// script opens its reply pipe for writing too, so that neither side waits for the other
// to open it. A Server that is gone, closed or killed, is an az that is not signed in.
const azScript = `#!/bin/sh
dir=%[1]s
reply=$dir/reply.$$
fail() { echo "%[3]s" >&2; exit 1; }
kill -0 %[2]d 2>/dev/null || fail
mkfifo -m 600 "$reply" 2>/dev/null || fail
exec 3<>"$reply" || fail
printf '%%s\n' "reply.$$ $*" 2>/dev/null >"$dir/calls" || fail
IFS= read -r answer <&3
rm -f "$reply"
case $answer in
0*) printf '%%s\n' "${answer#0}" ;;
*) printf '%%s\n' "${answer#1}" >&2; exit 1 ;;
esac
`

// installAzureCLI makes dir with an az whose calls are answered by run, until the
// function it returns is called.
func installAzureCLI(dir string, run func(args []string) (string, bool)) (stop func() error, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	calls := filepath.Join(dir, "calls")
	if err := syscall.Mkfifo(calls, 0o600); err != nil {
		return nil, err
	}
	// Open for writing too, so that the pipe does not end with each script.
	pipe, err := os.OpenFile(calls, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	quoted := "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	script := fmt.Sprintf(azScript, quoted, os.Getpid(), notSignedIn)
	if err := writeProgram(filepath.Join(dir, "az"), script); err != nil {
		pipe.Close()
		return nil, err
	}
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			call := strings.Fields(lines.Text())
			if len(call) == 0 || filepath.Base(call[0]) != call[0] {
				continue
			}
			done.Add(1)
			go func() {
				defer done.Done()
				output, ok := run(call[1:])
				reply(filepath.Join(dir, call[0]), output, ok)
			}()
		}
	}()
	return func() error {
		// From now on no script finds its way in, and those who have are all in there.
		closed := dir + ".closed"
		if err := os.Rename(dir, closed); err != nil {
			closed = dir
		}
		// Not Close alone: a write wakes the reader also where pipes cannot be polled.
		pipe.WriteString("\n")
		pipe.Close()
		done.Wait()
		return errors.Join(turnAway(closed), os.RemoveAll(closed))
	}, nil
}

// writeProgram writes a script that can be run at once. A child that another goroutine
// starts meanwhile has the file open for writing until it runs its own program, and as
// long as anybody has, the kernel runs none of it ("text file busy").
func writeProgram(file, script string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(file, []byte(script), 0o700)
}

// turnAway answers the scripts that still wait for a reply in dir, which would do so for
// ever.
func turnAway(dir string) error {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		if f.Type() == os.ModeNamedPipe && f.Name() != "calls" {
			reply(filepath.Join(dir, f.Name()), notSignedIn, false)
		}
	}
	return err
}

// reply writes the answer to a script's pipe. If the script has been killed there is
// nobody to read, and opening fails instead of waiting.
func reply(pipe, output string, ok bool) {
	f, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	status := "1"
	if ok {
		status = "0"
	}
	f.WriteString(status + strings.ReplaceAll(output, "\n", " ") + "\n")
}
