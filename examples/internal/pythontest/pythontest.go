// Package pythontest runs the examples in Python beside azurepg, as proxy and as keeper of a
// passfile, over Azure on loopback with tokens that live eight seconds.
package pythontest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/child"
)

// Python is Debian's, which has its packages. There may be others on PATH, without them.
const Python = "/usr/bin/python3"

// TokenLife is how long the tokens live. They are renewed at half of it.
const TokenLife = 8 * time.Second

// Program is the azurepg that the tests of a package share.
var Program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "azurepg")
	if err != nil {
		return "", err
	}
	built = filepath.Join(dir, "azurepg")
	args := slices.Concat([]string{"build", "-o", built}, buildFlags, []string{"github.com/azurepg/azurepg/cmd/azurepg"})
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return built, nil
})

var built string

// Main is the TestMain of an example. It returns the exit code.
func Main(m *testing.M) int {
	defer func() {
		if built != "" {
			_ = os.RemoveAll(filepath.Dir(built))
		}
	}()
	return m.Run()
}

// A Site is an Azure of its own, azurepg at work, and the programs that log in through it.
type Site struct {
	Azure    *azurepgtest.Server
	Role     string
	Database string
	Env      []string // of the programs: what Celery and Django get from a deployment, and libpq's

	Home      string // a private directory with a short name, since sockets are in it
	Principal *azurepgtest.Principal
}

// EachWay runs f through the proxy and through a passfile, at the same time, as a service
// principal that has one empty database. What any process prints is searched for secrets.
func EachWay(t *testing.T, role string, f func(*testing.T, *Site)) {
	t.Helper()
	for name, enter := range map[string]func(*Site, *testing.T){
		"proxy":    func(s *Site, t *testing.T) { s.Proxy(t, s.Database) },
		"passfile": func(s *Site, t *testing.T) { s.usePassfile(); s.writePassfile(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := NewSite(t, role)
			enter(s, t)
			f(t, s)
			if n := s.Azure.Postgres.Refusals(); n > 0 {
				t.Errorf("%d logins refused, the last one: %s", n, s.Azure.Postgres.LastRefusal())
			}
		})
	}
}

// OnceOnly returns a site whose passfile is there once write has been called, and which
// nobody renews.
func OnceOnly(t *testing.T, role string) (s *Site, write func()) {
	t.Helper()
	s = NewSite(t, role)
	s.usePassfile()
	return s, func() { s.writePassfile(t, "-once") }
}

// NewSite returns a site without azurepg.
func NewSite(t *testing.T, role string) *Site {
	t.Helper()
	NeedPackages(t)
	s := &Site{Azure: azurepgtest.Start(t), Role: role}
	s.Azure.Entra.SetLifetime(TokenLife)
	u, err := url.Parse(s.Azure.NewDatabase(t, role))
	if err != nil {
		t.Fatal(err)
	}
	s.Database = strings.TrimPrefix(u.Path, "/")
	s.Principal = s.Azure.AddServicePrincipal(role)
	if s.Home, err = os.MkdirTemp("", "site"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.Home) })
	s.Env = []string{
		"PATH=/usr/bin:/bin", "HOME=" + s.Home, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1",
		"AZURE_SERVICE_PRINCIPAL_USER=" + role, "DB_NAME=" + s.Database, "PGDATABASE=" + s.Database, "PGUSER=" + role,
	}
	return s
}

// NeedPackages ends the test where Debian's packages are not installed, in CI as a failure.
func NeedPackages(t *testing.T) {
	t.Helper()
	out, err := exec.Command(Python, "-c", "import celery, redis, sqlalchemy, psycopg2, django").CombinedOutput()
	if err == nil {
		return
	}
	const say = "Debian's python3-celery, python3-redis, python3-sqlalchemy, python3-psycopg2 and python3-django are needed (sh tools/setup.sh python): %v\n%s"
	if os.Getenv("CI") == "true" {
		t.Fatalf(say, err, out)
	}
	t.Skipf(say, err, out)
}

// Proxy starts azurepg proxy for a database, and leads the programs to its socket.
func (s *Site) Proxy(t *testing.T, database string) {
	t.Helper()
	dir := filepath.Join(s.Home, "pg")
	s.azurepg(t, func() bool {
		conn, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.5432"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, database, "proxy", "-listen", "unix:"+dir+"/")
	s.Env = append(s.Env, "DB_HOST="+dir, "PGHOST="+dir)
}

// usePassfile leads the programs to the server itself, with the token of a passfile.
func (s *Site) usePassfile() {
	host, port := s.Azure.Postgres.Host, strconv.Itoa(s.Azure.Postgres.Port)
	s.Env = append(s.Env, "DB_HOST="+host, "DB_PORT="+port, "PGHOST="+host, "PGPORT="+port,
		"PGPASSFILE="+s.passfile(), "PGSSLROOTCERT="+s.Azure.Postgres.CAFile)
}

func (s *Site) passfile() string { return filepath.Join(s.Home, "pgpass") }

// writePassfile starts azurepg passfile.
func (s *Site) writePassfile(t *testing.T, flags ...string) {
	t.Helper()
	s.azurepg(t, func() bool {
		_, err := os.Stat(s.passfile())
		return err == nil
	}, s.Database, append([]string{"passfile", "-out", s.passfile()}, flags...)...)
}

// azurepg starts a command for a database, and returns when it is ready.
func (s *Site) azurepg(t *testing.T, ready func() bool, database string, args ...string) {
	t.Helper()
	// No secret in the arguments, which ps shows: those of the environment will do.
	dsn := fmt.Sprintf("%s dbname=%s user='%s' azure_credential=environment", s.Host(), database, s.Role)
	p := s.Azurepg(t, []string{"AZURE_CLIENT_SECRET=" + s.Principal.Secret}, append(args, dsn)...)
	child.Until(t, "azurepg "+args[0], func() bool {
		ended := p.Ended() // before the last look
		if ready() {
			return true
		}
		if ended {
			t.Fatalf("azurepg %s has ended", args[0])
		}
		return false
	})
}

// Host is the server, as a DSN names it.
func (s *Site) Host() string {
	return fmt.Sprintf("host=%s port=%d sslrootcert=%s", s.Azure.Postgres.Host, s.Azure.Postgres.Port, s.Azure.Postgres.CAFile)
}

// Azurepg starts azurepg with these arguments, until the test ends. It finds s.Azure, and
// gets the id of s.Principal and more.
func (s *Site) Azurepg(t *testing.T, more []string, args ...string) *child.Process {
	t.Helper()
	path, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	env := append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.Home, "AZURE_CLIENT_ID=" + s.Principal.ClientID}, more...)
	for _, setting := range s.Azure.Env() {
		if !strings.HasPrefix(setting, "PG") {
			env = append(env, setting)
		}
	}
	return s.start(t, path, args, s.Home, env)
}

// Ordinary makes a user with a password that holds the word HUNTER, and a database, and
// returns the settings of a program that has no service principal.
func (s *Site) Ordinary(t *testing.T) []string {
	t.Helper()
	const user, password = "ordinary", "p@ss/HUNTER:1"
	if err := s.Azure.Postgres.AddPasswordRole(t.Context(), user, password, azurepgtest.SCRAM); err != nil {
		t.Fatal(err)
	}
	if err := s.Azure.Postgres.CreateDatabase(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	return []string{
		"AZURE_SERVICE_PRINCIPAL_USER=", "DB_HOST=" + s.Azure.Postgres.Host, "DB_PORT=" + strconv.Itoa(s.Azure.Postgres.Port),
		"DB_NAME=" + user, "DB_USER=" + user, "DB_PASS=" + password,
	}
}

// Terminate ends all sessions of the role, as an administrator does, and returns how many
// there were.
func (s *Site) Terminate(t *testing.T) int {
	t.Helper()
	db, err := s.Azure.Postgres.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	var n int
	if err := db.QueryRow(t.Context(), "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = $1", s.Role).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
