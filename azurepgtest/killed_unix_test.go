//go:build unix

package azurepgtest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// TestKilledProcessLeavesNothing runs itself as another process and kills it.
func TestKilledProcessLeavesNothing(t *testing.T) {
	if parts := os.Getenv("AZUREPGTEST_CHILD"); parts != "" {
		startAndStay(t, parts)
		return
	}
	t.Parallel()
	for _, tt := range []struct {
		name, directory, parts, until string
	}{
		{"running", "azpgtest", "all", "started"},
		{"with a standby, in a directory of odd characters", `azpg 'a" $b;%c*`, "standby", "started"},
		{"without PostgreSQL, in calls of az", "azpgtest", "tokens", "azpg*/az-*/reply.*"},
		{"in a directory of odd characters", `azpg 'a" $b;%c*,d`, "all", "started"},
		{"as soon as there are files", "azpgtest", "all", "azpg*"},
		{"in initdb", "azpgtest", "all", "azpg*/pg/data/base"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tmp := shortDir(t, tt.directory)
			name := filepath.Base(tmp) // also of the role, so that the session is found by it
			child, started := startChild(t, tmp, tt.parts)
			port := "none"
			if tt.until == "started" {
				if _, err := fmt.Fscan(started, &port); err != nil {
					t.Fatal(err)
				}
			} else {
				within(t, time.Minute, "files of the child", func() bool { return len(glob(t, tmp, tt.until)) > 0 })
			}
			address := net.JoinHostPort("127.0.0.1", port)
			shown := shownAt(address)
			if (shown != nil) != (port != "none") {
				t.Fatalf("at port %s there is %v", port, shown)
			}
			dogs, servers := processes(t, tmp, "azurepgtest-watchdog"), 1
			if tt.parts == "standby" {
				servers = 2
			}
			if len(dogs) != servers {
				t.Fatalf("there are %d watchdogs; want %d", len(dogs), servers)
			}
			if port != "none" && (len(processes(t, tmp, "postgres")) == 0 || len(processes(t, "postgres: "+name)) == 0) {
				t.Fatal("there is no PostgreSQL with a session to see the end of")
			}
			for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
				if err := syscall.Kill(dogs[0], signal); err != nil && tt.until == "started" {
					t.Error(err)
				}
			}
			// The whole group, as some CI systems do.
			if err := syscall.Kill(-child.Process.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			child.Wait()
			within(t, 20*time.Second, "end of all files and processes", func() bool {
				return len(processes(t, name)) == 0 && len(glob(t, tmp, "*")) == 0
			})
			if now := shownAt(address); now != nil && now.Equal(shown) {
				t.Error("the server still listens at its port")
			}
		})
	}
}

// startAndStay is the child, which says its port once it has a session.
func startAndStay(t *testing.T, parts string) {
	s, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: parts == "tokens"})
	if err != nil {
		t.Fatal(err)
	}
	port := "none"
	if s.Postgres == nil {
		go askAzureCLI(s)
	} else {
		role := filepath.Base(os.Getenv("TMPDIR"))
		conn, err := login(t.Context(), s.Postgres, role, s.Entra.Mint(s.AddServicePrincipal(role), nil))
		if err != nil {
			t.Fatal(err)
		}
		go conn.Exec(context.Background(), "select pg_sleep(1000)")
		port = strconv.Itoa(s.Postgres.Port)
		if parts == "standby" {
			if _, err := s.Postgres.AddStandby(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fmt.Println(port)
	io.Copy(io.Discard, os.Stdin) // as long as the parent lives
}

// askAzureCLI runs az all the time, several at once and each out of reach of a signal to
// our group, so that a kill finds calls at every stage.
func askAzureCLI(s *azurepgtest.Server) {
	az := s.AzureCLI(s.AddUser("alice@contoso.com"))
	for range 8 {
		go func() {
			for {
				cmd := exec.Command(filepath.Join(az.Dir, "az"), "account", "show")
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				cmd.Run()
			}
		}()
	}
}

func startChild(t *testing.T, tmp, parts string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcessLeavesNothing$", "-test.count=1")
	cmd.Env = append(os.Environ(), "AZUREPGTEST_CHILD="+parts, "TMPDIR="+tmp)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewReader(out)
}

func TestCloseLeavesNoProcess(t *testing.T) {
	t.Parallel()
	s, err := azurepgtest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(s.Postgres.CAFile)
	if n := len(processes(t, dir)); n != 2 {
		t.Errorf("there are %d processes; want PostgreSQL and the watchdog", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := processes(t, dir); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	tmp := shortDir(t, "azpgtest")
	t.Setenv("TMPDIR", tmp)
	for name, initdb := range map[string]string{
		"initdb fails":              "echo broken; exit 1",
		"PostgreSQL does not start": `for data; do case $last in -D) break ;; esac; last=$data; done; mkdir -m 700 "$data"`,
	} {
		t.Run(name, func(t *testing.T) {
			bin := shortDir(t, "bin")
			for name, script := range map[string]string{"initdb": initdb, "postgres": "echo broken; exit 1"} {
				if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PGBIN", bin)
			t.Setenv("AZUREPG_TEST_POSTGRES", "")
			s, err := azurepgtest.New(nil)
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), "broken") {
				t.Errorf("got %v; want what the program said", err)
			}
			if files, left := glob(t, tmp, "*"), processes(t, tmp); len(files)+len(left) > 0 {
				t.Errorf("files %v and processes %v are left", files, left)
			}
		})
	}
}

// shortDir makes a directory for the paths of sockets, which everyone may enter.
func shortDir(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// glob returns the files in dir, whose name may be odd, that match pattern.
func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	matches, err := fs.Glob(os.DirFS(dir), pattern)
	if err != nil {
		t.Fatal(err)
	}
	return matches
}

// processes returns the processes whose command line has all of texts.
func processes(t *testing.T, texts ...string) []int {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-ww", "-o", "pid=,args=").Output()
	if err != nil {
		t.Fatalf("ps: %v", err)
	}
	var found []int
lines:
	for line := range strings.Lines(string(out)) {
		pid, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, text := range texts {
			if !strings.Contains(args, text) {
				continue lines
			}
		}
		if n, err := strconv.Atoi(pid); err == nil {
			found = append(found, n)
		}
	}
	return found
}
