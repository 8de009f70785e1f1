//go:build unix

package azurepgtest

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// A watchdog is a shell that ends PostgreSQL and removes the directory if we cannot,
// having been killed for instance. It reads from a pipe that nobody but us writes to, and
// whose end the kernel sees to, whatever became of us.
type watchdog struct {
	cmd  *exec.Cmd
	pipe *os.File
}

// watchdogScript reads the process group of each PostgreSQL that starts, an empty line
// once that is gone, and "done" or "failed". $1 is the directory. PostgreSQL gets eight
// seconds for an immediate shutdown, of which it takes up to five; a sleep that knows no
// fractions makes that longer. Calls of az, which nobody answers any more, are turned away
// as in turnAway: the one pipe "calls" wakes those who open it, and the others are replies.
const watchdogScript = `
trap '' HUP INT QUIT TERM
group=
while IFS= read -r line; do
	case $line in
	done) exit 0 ;;
	failed) break ;;
	*) group=$line ;;
	esac
done
pause() { sleep 0.1 2>/dev/null || sleep 1; }
signal() { [ -n "$group" ] && kill -s "$1" -- "-$group" 2>/dev/null; }
signal QUIT
tries=80
while signal 0 && [ "$tries" -gt 0 ]; do
	pause
	tries=$((tries - 1))
done
signal KILL
for az in "$1"/az-*; do
	mv -- "$az" "$az.closed" 2>/dev/null || continue
	for pipe in "$az.closed"/*; do
		[ -p "$pipe" ] && echo 1 1<>"$pipe"
	done
done
tries=20
until rm -rf -- "$1" 2>/dev/null || [ "$tries" -eq 0 ]; do
	pause # until those who still write are gone
	tries=$((tries - 1))
done
`

// startWatchdog starts the watchdog of dir, which need not exist yet. It is a process
// group of its own: a Ctrl-C in the terminal is for the tests.
func startWatchdog(dir string) (*watchdog, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("azurepgtest: watchdog: %w", err)
	}
	defer r.Close() // the child has its own
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "azurepgtest-watchdog", dir)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin:" + os.Getenv("PATH")} // rm and sleep, also if the test has changed PATH
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("azurepgtest: watchdog: %w", err)
	}
	return &watchdog{cmd, w}, nil
}

// guard makes cmd, which is to lead a process group, report that to the watchdog before
// it becomes what it is meant to be. It does so itself, and holds the pipe open until it
// has, so there is no moment in which we can be killed and it is not known.
func (w *watchdog) guard(cmd *exec.Cmd) {
	const report = `echo $$ >&3 && exec "$0" "$@" 3>&-`
	cmd.Args = append([]string{"sh", "-c", report, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.ExtraFiles = []*os.File{w.pipe} // 3 in the child
}

// forget is called when the guarded process is gone and its number may become another's.
func (w *watchdog) forget() { w.pipe.WriteString("\n") }

// dismiss ends the watchdog: at once if all was closed in order, else when it has done
// what was not done. An error means that something is left.
func (w *watchdog) dismiss(inOrder bool) error {
	word := "done\n"
	if !inOrder {
		word = "failed\n"
	}
	w.pipe.WriteString(word) // an error means that it is gone, which Wait tells
	w.pipe.Close()
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	return nil
}
