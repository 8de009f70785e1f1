package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
)

// proxy is a running "azurepg proxy".
type proxy struct {
	cmd    *exec.Cmd
	socket string
}

// start builds azurepg into dir and starts its proxy.
func start(ctx context.Context, azure *azurepgtest.Server, app *azurepgtest.Principal, dir string) (*proxy, error) {
	program := filepath.Join(dir, "azurepg")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/azurepg/azurepg/cmd/azurepg")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	p := &proxy{socket: filepath.Join(dir, "pg", ".s.PGSQL.5432")}
	p.cmd = exec.CommandContext(ctx, program, "proxy", "-listen", "unix:"+p.socket, "-max-connections", "1000", "-drain", "1s", "dbname=bench")
	p.cmd.Env = append(append(os.Environ(), azure.Env()...), "PGUSER="+app.Name, "AZURE_CLIENT_ID="+app.ClientID, "AZURE_CLIENT_SECRET="+app.Secret)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("unix", p.socket); err == nil {
			return p, conn.Close()
		}
	}
	p.stop()
	return nil, errors.New("the proxy does not listen")
}

func (p *proxy) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// memory prints what a session takes of the proxy's memory that has run a statement and
// waits: what it grows by from a fifth of the sessions to all of them.
func (p *proxy) memory(ctx context.Context) error {
	var resident [2]int
	few := max(1, *sessions/5)
	var open []*pgx.Conn
	defer func() {
		for _, conn := range open {
			_ = conn.Close(ctx)
		}
	}()
	for i, n := range []int{few, *sessions - few} {
		more, err := p.hold(ctx, n)
		if err != nil {
			return err
		}
		open = append(open, more...)
		if resident[i], err = p.resident(); err != nil {
			return err
		}
	}
	each := float64(resident[1]-resident[0]) / float64(*sessions-few)
	fmt.Printf("%-42s %12s %12.1f\n", fmt.Sprintf("memory of each of %d sessions, KiB", *sessions), "", each)
	return nil
}

// total prints the memory of the whole proxy.
func (p *proxy) total(when string) error {
	all, err := p.resident()
	fmt.Printf("%-42s %12s %12.1f\n", "memory of the proxy "+when+", MiB", "", float64(all)/1024)
	return err
}

func (p *proxy) hold(ctx context.Context, n int) ([]*pgx.Conn, error) {
	var open []*pgx.Conn
	for range n {
		conn, err := pgx.Connect(ctx, "host="+filepath.Dir(p.socket)+" user=app dbname=bench")
		if err != nil {
			return nil, err
		}
		if _, err := conn.Exec(ctx, "select 1"); err != nil {
			return nil, err
		}
		open = append(open, conn)
	}
	return open, nil
}

// resident returns the resident memory of the proxy in KiB. Source: proc(5).
func (p *proxy) resident() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("memory is measured on Linux alone: %w", err)
	}
	_, line, _ := strings.Cut(string(status), "\nVmRSS:")
	line, _, _ = strings.Cut(line, "kB")
	return strconv.Atoi(strings.TrimSpace(line))
}
