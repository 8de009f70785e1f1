package brokertest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/azurepg/azurepg/internal/loopback"
)

// A process is a program that ends with this one, however this one ends.
type process struct {
	shell  *exec.Cmd
	input  io.Closer     // whose end is the program's
	exited chan struct{} // closed when the program is gone, and all that it started
	log    string        // file
}

// watch runs a program and kills it when the input ends, which the kernel sees to if
// nobody else does. File 3 is the program's alone: its end tells us that it is gone.
const watch = `trap '' HUP INT QUIT TERM
"$@" </dev/null &
exec 3>&-
read -r _
kill -KILL $! 2>/dev/null
wait $!`

// start runs a program in dir with only that environment beside PATH. What it prints is
// added to the file log.
func start(dir, log string, env []string, program string, args ...string) (*process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the child has its own
	alive, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", watch, "brokertest", program}, args...)...)
	cmd.Dir, cmd.Env = dir, append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin:" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}, env...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = []*os.File{theirs}
	input, err := cmd.StdinPipe()
	if err != nil {
		alive.Close()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		alive.Close()
		return nil, err
	}
	p := &process{shell: cmd, input: input, exited: make(chan struct{}), log: log}
	go func() {
		defer close(p.exited)
		defer alive.Close()
		_, _ = alive.Read(make([]byte, 1)) // nobody writes
	}()
	return p, nil
}

// kill ends the program as a power cut does, and returns when it is gone.
func (p *process) kill() error {
	if p == nil {
		return nil
	}
	p.input.Close()
	_ = p.shell.Wait() // says no more than that the program was killed
	select {
	case <-p.exited:
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("brokertest: what %s started does not end", p.shell.Args[4])
	}
}

// answers waits until ask succeeds, as long as a busy machine may need.
func (p *process) answers(ask func() error) error {
	for end := time.Now().Add(3 * time.Minute); ; {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return p.failure(errors.New("it has ended"))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return p.failure(err)
		}
	}
}

// failure is err with the end of the program's output.
func (p *process) failure(err error) error {
	log, _ := os.ReadFile(p.log)
	return fmt.Errorf("brokertest: %s: %w\n%s", filepath.Base(p.shell.Args[4]), err, log[max(0, len(log)-2000):])
}

// held are ports of 127.0.0.1 that nobody else is given until release.
type held struct {
	ports    []string
	releases []func() error
}

func hold(n int) (held, error) {
	var h held
	for range n {
		number, release, err := loopback.HoldPort()
		if err != nil {
			return held{}, errors.Join(err, h.release())
		}
		h.ports, h.releases = append(h.ports, strconv.Itoa(number)), append(h.releases, release)
	}
	return h, nil
}

func (h held) release() (err error) {
	for _, release := range h.releases {
		err = errors.Join(err, release())
	}
	return err
}

// find returns the first program that exists.
func find(pkg string, programs ...string) (string, error) {
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("brokertest: no %s: install Debian's package %s (sh tools/setup.sh %s)",
		filepath.Base(programs[0]), pkg, strings.TrimSuffix(pkg, "-server"))
}
