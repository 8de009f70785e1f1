package celery_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

const installed = "/usr/local/bin/azurepg" // where the units look for it

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// setting returns the value of a unit's setting that stands there once.
func setting(t *testing.T, unit, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(unit, -1)
	if len(found) != 1 {
		t.Fatalf("%s stands in the unit %d times", name, len(found))
	}
	return found[0][1]
}

// Each unit's command, with the variables of its file and the directory that systemd makes:
// it says that it is ready, and then a client logs in.
func TestUnitsAreReadyWhenClientsCanLogIn(t *testing.T) {
	for _, name := range []string{"azurepg-proxy", "azurepg-passfile"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unit := readFile(t, "systemd/"+name+".service")
			s := pythontest.NewSite(t, "sp_celery@db")
			if setting(t, unit, "Type") != "notify" || setting(t, unit, "RuntimeDirectory") != "azurepg" || setting(t, unit, "RuntimeDirectoryMode") != "0700" {
				t.Error("the unit is not what its command needs")
			}
			notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(s.Home, "notify"), Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer notify.Close()
			variables := map[string]string{"DB_HOST": s.Azure.Postgres.Host, "DB_NAME": s.Database, "AZURE_SERVICE_PRINCIPAL_USER": s.Role}
			command := os.Expand(setting(t, unit, "ExecStart"), func(name string) string { return variables[name] })
			command = strings.NewReplacer("/run/azurepg", s.Home, "127.0.0.1:9187", "127.0.0.1:0", "host="+s.Azure.Postgres.Host, s.Host()).Replace(command)
			args := words(command)
			if args[0] != installed {
				t.Errorf("the unit runs %s; want %s", args[0], installed)
			}
			s.Azurepg(t, []string{"AZURE_CLIENT_SECRET=" + s.Principal.Secret, "NOTIFY_SOCKET=" + notify.LocalAddr().String()}, args[1:]...)
			if err := notify.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
				t.Fatal(err)
			}
			message := make([]byte, 100)
			n, err := notify.Read(message)
			if err != nil || string(message[:n]) != "READY=1" {
				t.Fatalf("systemd is told %q, %v", message[:n], err)
			}
			more := []string{"DB_HOST=" + s.Home}
			if name == "azurepg-passfile" {
				more = []string{"DB_HOST=" + s.Azure.Postgres.Host, "DB_PORT=" + port(t, s), "PGPASSFILE=" + s.Home + "/pgpass", "PGSSLROOTCERT=" + s.Azure.Postgres.CAFile}
			}
			client := s.Python(t, ".", more, "-c", settings)
			if url, user := client.Line(), client.Line(); user != s.Role {
				t.Errorf("%s logs in as %s", url, user)
			}
			client.Succeeds()
		})
	}
}

func port(t *testing.T, s *pythontest.Site) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Azure.Postgres.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// words splits a command line as systemd does, as far as the units go: at spaces outside
// of double quotes.
func words(line string) (words []string) {
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2])
	}
	return words
}

// systemd itself reads the units, and rates from 0 to 100 how much a hole in the program
// would open: most services of Debian are above 90.
func TestSystemdAcceptsTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no systemd-analyze: install systemd (sh tools/setup.sh python)")
		}
		t.Skip("no systemd on this machine")
	}
	program, err := pythontest.Program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) != 3 {
		t.Fatal(units, err)
	}
	args := []string{"verify"}
	for _, name := range units {
		there := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(there, []byte(strings.ReplaceAll(readFile(t, name), installed, program)), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, there)
	}
	if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for _, name := range []string{"azurepg-proxy", "azurepg-passfile"} {
		out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=15", "--no-pager", filepath.Join(dir, name+".service")).CombinedOutput()
		if strings.Contains(string(out), "unrecognized option") && os.Getenv("CI") != "true" {
			t.Skip("systemd before 250 does not rate files")
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
