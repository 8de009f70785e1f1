//go:build unix

package proxy_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/transcript"
)

// A child is "azurepg proxy" as its users run it, and all that it has said.
type child struct {
	dir    string // of the unix socket: a host for libpq
	tcp    string // 127.0.0.1:port
	health string // URL
	azure  *azurepgtest.Server
	cmd    *exec.Cmd
	ended  chan error

	out transcript.Transcript
}

// run starts azurepg proxy as principal p. The client secret is in its environment, and
// the DSN is what follows the flags.
func run(t *testing.T, s *azurepgtest.Server, p *azurepgtest.Principal, args ...string) *child {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{dir: filepath.Join(t.TempDir(), "pg"), azure: s, ended: make(chan error, 1)}
	c.cmd = exec.Command(path, append([]string{"proxy", "-listen", "unix:" + c.dir + "/", "-listen", "tcp:127.0.0.1:0",
		"-health", "127.0.0.1:0", "-log-json", "-verbose"}, args...)...)
	c.cmd.Env = append(append(os.Environ(), s.Env()...), "PGUSER="+p.Name, "AZURE_CLIENT_ID="+p.ClientID, "AZURE_CLIENT_SECRET="+p.Secret)
	said, pipe := io.Pipe()
	c.cmd.Stdout, c.cmd.Stderr = pipe, pipe
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1)
	go c.listen(said, lines)
	go func() {
		err := c.cmd.Wait()
		_ = pipe.Close()
		c.ended <- err
	}()
	t.Cleanup(func() {
		c.end(t)
		c.noLeaks(t, c.said())
	})
	c.readAddresses(t, lines)
	return c
}

// listen keeps what the child says, and passes on the first lines.
func (c *child) listen(said io.Reader, lines chan string) {
	for r := bufio.NewReader(said); ; {
		line, err := r.ReadString('\n')
		_, _ = io.WriteString(&c.out, line)
		if err != nil {
			close(lines)
			return
		}
		select {
		case lines <- line:
		default:
		}
	}
}

func (c *child) readAddresses(t *testing.T, lines <-chan string) {
	t.Helper()
	_ = lines
	eventually(t, "the proxy listens", func() bool {
		for line := range strings.Lines(c.said()) {
			var l struct{ Msg, Network, Address string }
			if json.Unmarshal([]byte(line), &l) != nil {
				t.Fatalf("a line of the log is no JSON: %q", line)
			}
			switch {
			case l.Msg == "health":
				c.health = "http://" + l.Address
			case l.Msg == "listening" && l.Network == "tcp":
				c.tcp = l.Address
			}
		}
		select {
		case err := <-c.ended:
			t.Fatalf("the proxy has ended: %v\n%s", err, c.said())
		default:
		}
		return c.health != "" && c.tcp != ""
	})
}

func (c *child) said() string {
	return c.out.String()
}

// end has it end at once. Of two signals that are sent together one may be lost.
func (c *child) end(t *testing.T) {
	t.Helper()
	for n := 0; len(c.ended) == 0 && n < int(patience/(10*time.Millisecond)); n++ {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		time.Sleep(10 * time.Millisecond)
	}
	_ = c.wait(t)
}

// wait waits for the end of the child.
func (c *child) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-c.ended:
		c.ended <- err
		return err
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		t.Fatalf("the proxy does not end:\n%s", c.said())
		return nil
	}
}

func (c *child) noLeaks(t *testing.T, text string) {
	t.Helper()
	if found := c.azure.Leaks(text); found != nil {
		t.Errorf("found in what was printed: %v", found)
	}
}

func (c *child) get(t *testing.T, path string) (int, string) {
	t.Helper()
	response, err := http.Get(c.health + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	c.noLeaks(t, string(body))
	return response.StatusCode, string(body)
}

func (c *child) metric(t *testing.T, name string) string {
	t.Helper()
	_, text := c.get(t, "/metrics")
	return metricIn(t, text, name)
}

// program is a client of c: psql, pgbench and so on, at its unix socket.
func (c *child) program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), installed(t, name), args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "PGHOST="+c.dir, "PGPASSFILE="+filepath.Join(c.dir, "none"))
	return cmd
}

// installed returns where a program of PostgreSQL's is: beside the server, whose version
// it then has, or on the path.
func installed(t *testing.T, name string) string {
	t.Helper()
	dirs := []string{os.Getenv("PGBIN")}
	if server, err := exec.LookPath("postgres"); err == nil {
		if server, err = filepath.EvalSymlinks(server); err == nil {
			dirs = append(dirs, filepath.Dir(server))
		}
	}
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); dir != "" && err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: tools/setup.sh installs it", err)
	}
	return path
}

// psql runs statements, and returns all that psql says.
func (c *child) psql(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := c.program(t, "psql", append([]string{"-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"}, args...)...)
	out, err := cmd.CombinedOutput()
	c.noLeaks(t, string(out))
	return strings.TrimSpace(string(out)), err
}

// mustPsql is psql where nothing may go wrong.
func (c *child) mustPsql(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.psql(t, args...)
	if err != nil {
		t.Fatalf("psql %q: %v: %s\nthe proxy said:\n%s", args, err, out, c.said())
	}
	return out
}
