package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/loopback"
)

var (
	binary string              // azurepg, as go install makes it
	azure  *azurepgtest.Server // for tests that do not make it misbehave
)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "azurepg")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary = filepath.Join(dir, "azurepg")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	if azure, err = azurepgtest.New(nil); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, azure.Close()) }()
	return m.Run(), nil
}

// environment is that of a child: s for Azure, the principal app for identity, and more
// settings. A setting without a value is taken away.
func environment(s *azurepgtest.Server, more ...string) []string {
	app := s.AddServicePrincipal("app")
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return regexp.MustCompile(`^(AZURE_|IDENTITY_|MSI_|PG|DATABASE_URL)`).MatchString(kv)
	})
	env = append(env, s.Env()...)
	env = append(env, "PGUSER=app", "AZURE_CLIENT_ID="+app.ClientID, "AZURE_CLIENT_SECRET="+app.Secret, "HOME="+os.TempDir(), "LC_ALL=C.UTF-8")
	for _, kv := range more {
		name, value, _ := strings.Cut(kv, "=")
		env = slices.DeleteFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		if value != "" {
			env = append(env, kv)
		}
	}
	return env
}

// result is how a run of the binary ended.
type result struct {
	out, err string
	code     int
}

// invoke runs the binary to its end.
func invoke(t *testing.T, env []string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &errs
	err := cmd.Run()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// wantFailure fails the test unless r failed with code and said so in one line of command.
func (r result) wantFailure(t *testing.T, code int, command string, says ...string) {
	t.Helper()
	if r.code != code || !strings.HasPrefix(r.err, "azurepg "+command+": ") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("exit code %d, %q; want %d and one line of %s", r.code, r.err, code, command)
	}
	for _, part := range says {
		if !strings.Contains(r.err, part) {
			t.Errorf("%q lacks %s", r.err, part)
		}
	}
}

// wantNoLeak fails the test if text shows a secret of s.
func wantNoLeak(t *testing.T, s *azurepgtest.Server, texts ...string) {
	t.Helper()
	if found := s.Leaks(strings.Join(texts, "\n")); found != nil {
		t.Errorf("the output shows %v", found)
	}
}

// inProcess runs main without the process.
func inProcess(t *testing.T, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), &streams{in: strings.NewReader(""), out: &out, err: &errs}, args)
	return result{out.String(), errs.String(), code}
}

func TestHelpOfEveryCommandIsComplete(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	doc, list := f.Doc.Text(), inProcess(t, "help")
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			line := regexp.MustCompile(`\t` + regexp.QuoteMeta(c.name) + ` +` + regexp.QuoteMeta(c.summary) + `\n`)
			if !line.MatchString(doc) {
				t.Errorf("the package's documentation does not list it as %s", c.summary)
			}
			if list.code != 0 || !line.MatchString(list.out) {
				t.Errorf("azurepg help does not list it: %s", list.out)
			}
			got := inProcess(t, c.name, "-h")
			if got.code != 0 || got.err != "" || !strings.Contains(got.out, strings.TrimSpace(c.help)) || !strings.Contains(got.out, "azurepg "+c.name+" ") {
				t.Errorf("-h: %+v", got)
			}
			if again := inProcess(t, "help", c.name); again != got {
				t.Errorf("azurepg help %s: %+v; want what -h says", c.name, again)
			}
			flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
			c.setup(flags)
			flags.VisitAll(func(f *flag.Flag) {
				if f.Usage == "" || !strings.Contains(got.out, "  -"+f.Name) {
					t.Errorf("-%s is not documented", f.Name)
				}
			})
		})
	}
}

func TestWrongCommandLineIsOneLineAndExitCode2(t *testing.T) {
	const secret = "postgres://u:HUNTER2@h/d"
	for _, args := range [][]string{
		{"doktor"}, {"doctor", "-jsn"}, {"doctor", "host=h", secret}, {"token", "-json=" + secret}, {"token", secret}, {"token", "host=h", "-json"},
		{"psql", secret}, {"psql", "host=h", "-c", "select 1"}, {"psql", "host=h sslmode=disable"}, {"doctor", secret}, {"help", "nothing"},
		{secret}, {"help", secret}, {"azure_client_secret=HUNTER2"},
		{"proxy", "-listen", secret, "host=h"}, {"proxy", "-listen", "host=h azure_client_secret=HUNTER2", "host=h"},
		{"passfile", "-out", secret, "host=h"}, {"passfile", "-out", "azure_client_secret=HUNTER2/d", "host=h"},
	} {
		got := inProcess(t, args...)
		if got.code != exitUsage || strings.Count(got.err, "\n") != 1 || !strings.HasPrefix(got.err, "azurepg") || strings.Contains(got.err+got.out, "HUNTER2") {
			t.Errorf("%q: %+v; want exit code 2 and one line without secrets", args, got)
		}
	}
	if got := inProcess(t); got.code != exitUsage || !strings.Contains(got.err, "COMMAND") {
		t.Errorf("without a command: %+v; want the list, and exit code 2", got)
	}
}

// An interrupt ends what waits.
func TestCommandsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"token", "psql"} {
		var errs bytes.Buffer
		code := run(ctx, &streams{in: strings.NewReader(""), out: &errs, err: &errs}, []string{name, "host=h user=u azure_credential=azure_cli"})
		if code != exitFailed || !strings.Contains(errs.String(), "context has ended") {
			t.Errorf("%s: exit code %d, %s", name, code, &errs)
		}
	}
}

// closedAddress is one at which nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", loopback.HeldPort(t))
}
