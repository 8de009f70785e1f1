package azurepgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// socketPort is part of the unix socket's name and no port of the machine.
const socketPort = 5432

// A process is a PostgreSQL server of our own, with its data. It can be started again
// after a stop; whoever calls start and stop sees to it that they take turns.
type process struct {
	bin       string
	owner     owner
	watchdog  *watchdog
	socketDir string
	data      string
	logFile   string
	primary   *process      // whom it follows; nil before it was a standby
	cmd       *exec.Cmd     // nil before the first start
	exited    chan struct{} // closed when cmd has
}

// newProcess makes the place for a cluster in dir.
func newProcess(bin, dir string, watchdog *watchdog) (*process, error) {
	owner, err := findOwner()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "pg") // socket, data
	p := &process{
		bin: bin, owner: owner, watchdog: watchdog,
		socketDir: home, data: filepath.Join(home, "data"), logFile: filepath.Join(dir, "postgres.log"),
	}
	return p, p.mkdir(home)
}

// initCluster makes a database cluster whose only user is postgres.
func (p *process) initCluster(ctx context.Context) error {
	cmd := p.command(ctx, "initdb", "-D", p.data, "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--no-locale", "--no-sync")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	p.watchdog.forget()
	if err != nil {
		return fmt.Errorf("azurepgtest: initdb: %w: %s", err, tail(output.Bytes()))
	}
	return p.writeHBA()
}

// start starts the server, which may not answer yet.
func (p *process) start() error {
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	defer log.Close() // the child has its own
	cmd := p.command(context.Background(), "postgres",
		"-D", p.data, "-p", fmt.Sprint(socketPort), "-k", `"`+strings.ReplaceAll(p.socketDir, `"`, `""`)+`"`, // a list
		"-c", "listen_addresses=", "-c", "max_connections=1200", "-c", "shared_buffers=32MB",
		// Nothing here outlives a crash.
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
		"-c", "autovacuum=off")
	if p.primary != nil { // without effect once it is promoted
		cmd.Args = append(cmd.Args, "-c", "primary_conninfo=host="+conninfoValue(p.primary.socketDir)+fmt.Sprintf(" port=%d user=postgres", socketPort),
			"-c", "primary_slot_name="+p.slot())
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("azurepgtest: postgres: %w", err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	go func() {
		defer close(exited)
		cmd.Wait() // its log says more than its status
		p.watchdog.forget()
	}()
	return nil
}

// conninfoValue quotes a value as libpq reads it.
func conninfoValue(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

// stop ends the server by the signals in turn, as far as that is needed.
func (p *process) stop(signals []os.Signal) error {
	if p.cmd == nil {
		return nil
	}
	for _, signal := range signals {
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

// command prepares an executable of PostgreSQL to be run by the owner and guarded by the
// watchdog, with an environment in which no PG* variable or locale of the tests can be in
// the way.
func (p *process) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
	cmd.Dir = p.bin // the owner may not enter our own
	cmd.Env = []string{"LC_ALL=C", "PATH=" + p.bin + string(os.PathListSeparator) + os.Getenv("PATH"), "TZ=UTC"}
	cmd.SysProcAttr = p.owner.attributes()
	p.watchdog.guard(cmd)
	return cmd
}
