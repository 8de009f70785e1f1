package azurepgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// socketPort is part of the unix socket's name and no port of the machine.
const socketPort = 5432

// A process is a PostgreSQL server of our own, with its data.
type process struct {
	socketDir string
	logFile   string
	cmd       *exec.Cmd
	exited    chan struct{} // closed when it has
	exit      error         // of cmd.Wait, once exited is closed
}

// startProcess makes a cluster in dir and starts it; it may not answer yet.
func startProcess(ctx context.Context, bin, dir string) (*process, error) {
	owner, err := findOwner()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "pg") // socket, data and log
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, fmt.Errorf("azurepgtest: %w", err)
	}
	if err := owner.take(home); err != nil {
		return nil, fmt.Errorf("azurepgtest: %w", err)
	}
	data := filepath.Join(home, "data")
	if err := initCluster(ctx, bin, data, owner); err != nil {
		return nil, err
	}
	p := &process{socketDir: home, logFile: filepath.Join(dir, "postgres.log"), exited: make(chan struct{})}
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("azurepgtest: %w", err)
	}
	defer log.Close() // the child has its own
	p.cmd = command(context.Background(), bin, "postgres", owner,
		"-D", data, "-p", fmt.Sprint(socketPort), "-k", home,
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=32MB",
		// Nothing here outlives a crash.
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
		"-c", "autovacuum=off")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	return p, p.run()
}

// initCluster makes a database cluster whose only user is postgres. Trust is for those
// who can open the socket, which lies in a private directory.
func initCluster(ctx context.Context, bin, data string, owner owner) error {
	cmd := command(ctx, bin, "initdb", owner, "-D", data, "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--no-locale", "--no-sync")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	var err error
	locked(func() { err = cmd.Run() })
	if err != nil {
		return fmt.Errorf("azurepgtest: initdb: %w: %s", err, tail(output.Bytes()))
	}
	return nil
}

// locked runs f on a thread that lives as long as f: the death signal of a child comes
// when the thread dies that started it, not the process (prctl(2), PR_SET_PDEATHSIG).
func locked(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// run starts the server and leaves a goroutine waiting for its end.
func (p *process) run() error {
	started := make(chan error, 1)
	go locked(func() {
		defer close(p.exited)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.exit = p.cmd.Wait()
		}
	})
	if err := <-started; err != nil {
		return fmt.Errorf("azurepgtest: postgres: %w", err)
	}
	return nil
}

// stop ends the server, its sessions first; if that takes long, by force.
func (p *process) stop() error {
	for _, signal := range stopSignals {
		p.cmd.Process.Signal(signal) // an error means that it is gone
		timer := time.NewTimer(5 * time.Second)
		select {
		case <-p.exited:
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
	return errors.New("PostgreSQL does not stop")
}

// failure returns an error with the end of the server's log.
func (p *process) failure(what string) error {
	log, _ := os.ReadFile(p.logFile)
	return fmt.Errorf("azurepgtest: %s: %s", what, tail(log))
}

func tail(b []byte) []byte {
	b = bytes.TrimSpace(b)
	return b[max(0, len(b)-1000):]
}

// command prepares an executable of PostgreSQL to be run by owner, with an environment
// in which no PG* variable or locale of the tests can be in the way.
func command(ctx context.Context, bin, name string, owner owner, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Dir = bin // owner may not enter our own
	cmd.Env = []string{"LC_ALL=C", "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "TZ=UTC"}
	cmd.SysProcAttr = owner.attributes()
	return cmd
}
