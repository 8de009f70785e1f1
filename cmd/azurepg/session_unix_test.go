//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"

	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// scriptStopped is psql's exit code where Ctrl-C has stopped what comes from no terminal.
const scriptStopped = 3

// session is a psql under way.
type session struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	errs bytes.Buffer
	all  strings.Builder // what was read
}

func start(t *testing.T, env []string, args ...string) *session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // ends the reading too
	t.Cleanup(cancel)
	s := &session{cmd: exec.CommandContext(ctx, binary, args...)}
	s.cmd.Env, s.cmd.Stderr = env, &s.errs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReader(out)
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// until reads lines up to one that is text.
func (s *session) until(t *testing.T, text string) {
	t.Helper()
	for {
		line, err := s.out.ReadString('\n')
		s.all.WriteString(line)
		if err != nil {
			_ = s.cmd.Wait() // errs is its until then
			t.Fatalf("%v before %q, after\n%s%s", err, text, &s.all, &s.errs)
		}
		if strings.TrimSpace(line) == text {
			return
		}
	}
}

func (s *session) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(s.in, text+"\n"); err != nil {
		t.Fatal(err)
	}
}

// ofProcess reads a file of /proc.
func (s *session) ofProcess(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestInterruptCancelsTheQueryAndNobodySeesTheToken(t *testing.T) {
	app := azure.AddServicePrincipal("app")
	dsn := "azure_credential=client_secret azure_client_id=" + app.ClientID + " azure_client_secret=" + app.Secret
	s := start(t, environment(azure, "DATABASE_DSN="+dsn), "psql", dsn, "--", "-XAt")
	s.say(t, `\echo ready`)
	s.until(t, "ready")
	if runtime.GOOS == "linux" {
		cmdline, environ := s.ofProcess(t, "cmdline"), s.ofProcess(t, "environ")
		if wantNoLeak(t, azure, cmdline); !strings.HasSuffix(strings.SplitN(cmdline, "\x00", 2)[0], "psql") {
			t.Errorf("the process is %q; want psql in azurepg's place", cmdline)
		}
		if strings.Contains(environ, app.Secret) || !strings.Contains(environ, "PGPASSWORD=") {
			t.Error("psql's environment holds the client secret, or no token")
		}
	}
	s.say(t, "select pg_sleep(3600);")
	waitForQuery(t, "select pg_sleep(3600);")
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, s.out)
	if err := s.cmd.Wait(); s.cmd.ProcessState.ExitCode() != scriptStopped || !strings.Contains(s.errs.String(), "canceling statement due to user request") {
		t.Errorf("%v, %s; want the query cancelled", err, &s.errs)
	}
	wantNoLeak(t, azure, s.all.String(), s.errs.String())
}

// waitForQuery waits until the server is busy with it.
func waitForQuery(t *testing.T, sql string) {
	t.Helper()
	conn, err := azure.Postgres.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for end, n := time.Now().Add(time.Minute), 0; n == 0; time.Sleep(10 * time.Millisecond) {
		if err := conn.QueryRow(t.Context(), "select count(*) from pg_stat_activity where state = 'active' and query = $1", sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatal("the query did not begin")
		}
	}
}

// A session goes on after the end of the token that began it, and \watch with it.
func TestSessionOutlivesItsToken(t *testing.T) {
	short := azurepgtest.Start(t)
	const lifetime = 10 * time.Second // of which a busy machine takes some to start psql
	short.Entra.SetLifetime(lifetime)
	began := time.Now()
	s := start(t, environment(short), "psql", "", "--", "-XAt")
	s.say(t, `select 'tick' \watch 0.2`)
	for s.until(t, "tick"); time.Since(began) < lifetime+time.Second; {
		s.until(t, "tick")
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = s.in.Close() // between two statements psql goes on to its next line
	_, _ = io.Copy(io.Discard, s.out)
	if err := s.cmd.Wait(); !s.cmd.ProcessState.Exited() || short.Postgres.Logins() != 1 {
		t.Errorf("%v, %d logins, %s; want one session, to its interruption", err, short.Postgres.Logins(), &s.errs)
	}
	wantNoLeak(t, short, s.all.String(), s.errs.String())
}
