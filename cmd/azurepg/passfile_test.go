package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/transcript"
)

// passfileRun is azurepg passfile at work.
type passfileRun struct {
	azure *azurepgtest.Server
	path  string
	// stop interrupts it, and returns its exit code and what it has printed.
	stop func() (int, string)
}

func runPassfile(t *testing.T, azure *azurepgtest.Server, args ...string) *passfileRun {
	t.Helper()
	r := &passfileRun{azure: azure, path: filepath.Join(t.TempDir(), "pgpass")}
	printed := new(transcript.Transcript)
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, &streams{nil, printed, printed}, append([]string{"passfile", "-out", r.path}, args...))
	}()
	stopped := false
	r.stop = func() (int, string) {
		stopped = true
		cancel()
		return <-code, printed.String()
	}
	t.Cleanup(func() {
		if !stopped {
			r.stop()
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(r.path); err == nil {
			return r
		}
		select {
		case c := <-code:
			code <- c
			t.Fatalf("it ended with %d:\n%s", c, printed)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("there is no file after a minute")
		}
	}
}

// psql runs psql with the passfile, and with what libpq verifies the server by.
func (r *passfileRun) psql(t *testing.T, host, user, database string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "psql", "-X", "-w", "-A", "-t", "-c", "select current_user || ' in ' || current_database()")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(r.path), "PGPASSFILE=" + r.path,
		"PGSSLMODE=verify-full", "PGSSLROOTCERT=" + r.azure.Postgres.CAFile,
		"PGHOST=" + host, "PGPORT=" + strconv.Itoa(r.azure.Postgres.Port), "PGUSER=" + user, "PGDATABASE=" + database,
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func withDatabase(t *testing.T, dsn, database string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path, u.RawPath = "/"+database, "/"+url.PathEscape(database)
	return u.String()
}

// Tokens of six seconds, half of which is for a psql on a busy machine: logins go on across
// four of them, and through the outage of half a token's life.
func TestPsqlLogsInThroughThePassfileWhileTokensEnd(t *testing.T) {
	azure := azurepgtest.Start(t)
	azure.Entra.SetLifetime(6 * time.Second)
	r := runPassfile(t, azure, azure.DSN("shop"))
	for tokens := azure.Entra.TokenRequests(); azure.Entra.TokenRequests() < tokens+4; {
		if out, err := r.psql(t, azure.Postgres.Host, "shop", "postgres"); err != nil || out != "shop in postgres" {
			t.Fatalf("psql: %v, %s", err, out)
		}
	}
	code, printed := r.stop()
	if code != 0 {
		t.Errorf("it ended with %d:\n%s", code, printed)
	}
	if _, err := os.Lstat(r.path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	if n := strings.Count(printed, "passfile written"); n < 4 {
		t.Errorf("%d lines tell of renewals:\n%s", n, printed)
	}
	if found := azure.Leaks(printed); found != nil {
		t.Errorf("it printed %v", found)
	}
	if n := azure.Postgres.Refusals(); n > 0 {
		t.Errorf("%d logins refused, the last one: %s", n, azure.Postgres.LastRefusal())
	}
}

// Names with what a passfile uses itself. psql is the judge of what is written.
func TestPsqlFindsItsLineWhateverTheNames(t *testing.T) {
	azure := azurepgtest.Start(t)
	var dsns []string
	names := [][2]string{{"plain", "shop"}, {`co:lon`, `data:base`}, {`back\slash`, `data\base`}, {"*", "*"}, {"#hash", "# hash"}, {"gäste gruppe", "über"}, {`\:`, `:\`}}
	for _, name := range names {
		if err := azure.Postgres.CreateDatabase(t.Context(), name[1]); err != nil {
			t.Fatal(err)
		}
		dsns = append(dsns, withDatabase(t, azure.DSN(name[0]), name[1]))
	}
	r := runPassfile(t, azure, dsns...)
	for _, name := range names {
		if out, err := r.psql(t, azure.Postgres.Host, name[0], name[1]); err != nil || out != name[0]+" in "+name[1] {
			t.Errorf("%q: %v, %s", name, err, out)
		}
	}
	// The star is a name, and not everybody.
	if out, err := r.psql(t, azure.Postgres.Host, "somebody", "*"); err == nil || !strings.Contains(out, "no password supplied") {
		t.Errorf("somebody else got a line: %v, %s", err, out)
	}
}

func TestWithoutADatabaseTheTokenIsForAll(t *testing.T) {
	azure := azurepgtest.Start(t)
	r := runPassfile(t, azure, withDatabase(t, azure.DSN("shop"), ""))
	for _, database := range []string{"postgres", "template1"} {
		if out, err := r.psql(t, azure.Postgres.Host, "shop", database); err != nil || out != "shop in "+database {
			t.Errorf("psql: %v, %s", err, out)
		}
	}
}

func TestPassfileOnceLeavesTheFileBehind(t *testing.T) {
	azure := azurepgtest.Start(t)
	r := runPassfile(t, azure, "-once", azure.DSN("shop"))
	if code, printed := r.stop(); code != 0 {
		t.Errorf("it ended with %d:\n%s", code, printed)
	}
	if out, err := r.psql(t, azure.Postgres.Host, "shop", "postgres"); err != nil || out != "shop in postgres" {
		t.Errorf("psql: %v, %s", err, out)
	}
	kept := runPassfile(t, azure, "-keep", azure.DSN("shop"))
	if code, printed := kept.stop(); code != 0 {
		t.Errorf("it ended with %d:\n%s", code, printed)
	}
	if _, err := os.Stat(kept.path); err != nil {
		t.Errorf("-keep: %v", err)
	}
}

func TestPassfileExitCodes(t *testing.T) {
	azure, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	defer azure.Close()
	p := azure.AddServicePrincipal("shop")
	dsn := func(secret string) string {
		return "host=mydb.postgres.database.azure.com user=shop azure_credential=client_secret azure_tenant_id=" + p.TenantID +
			" azure_client_id=" + p.ClientID + " azure_client_secret=" + secret
	}
	good := dsn(p.Secret)
	path := filepath.Join(t.TempDir(), "pgpass")
	foreign := path + ".foreign"
	if err := os.WriteFile(foreign, []byte("h:5432:d:u:HUNTER\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no file":          {[]string{good}, 2, "-out is missing"},
		"file of others":   {[]string{"-out", foreign, good}, 2, "was not written by azurepg passfile"},
		"twice the same":   {[]string{"-out", path, good, good}, 2, "DSN 1 and DSN 2"},
		"second DSN":       {[]string{"-out", path, good, "host=h sslmode=disable"}, 2, "DSN 2: azurepg: sslmode: "},
		"password":         {[]string{"-out", path, "postgres://u:HUNTER@h/d"}, 2, "a password is given"},
		"wrong secret":     {[]string{"-out", path, dsn("HUNTER")}, 1, "AADSTS7000215"},
		"it works":         {[]string{"-once", "-out", path, good}, 0, "passfile written"},
		"a flag too few":   {[]string{"-out"}, 2, "flag needs an argument"},
		"flags at the end": {[]string{"-out", path, good, "-once"}, 2, "DSN 2: "},
	} {
		printed := new(transcript.Transcript)
		code := run(t.Context(), &streams{nil, printed, printed}, append([]string{"passfile"}, test.args...))
		if code != test.code || !strings.Contains(printed.String(), test.want) {
			t.Errorf("%s: exit code %d; want %d, and %q in\n%s", name, code, test.code, test.want, printed)
		}
		if found := azure.Leaks(printed.String()); found != nil || strings.Contains(printed.String(), "HUNTER") {
			t.Errorf("%s: it printed %v:\n%s", name, found, printed)
		}
	}
	if content, err := os.ReadFile(foreign); err != nil || string(content) != "h:5432:d:u:HUNTER\n" {
		t.Errorf("the file of others: %q, %v", content, err)
	}
}

// systemd is the socket at which it is told of what is ready.
func systemd(t *testing.T) *net.UnixConn {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "s"))
	return socket
}

// systemd starts what comes after the unit when the file is there.
func TestPassfileTellsSystemdThatTheFileIsThere(t *testing.T) {
	azure, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	defer azure.Close()
	p := azure.AddServicePrincipal("shop")
	socket := systemd(t)
	azure.Entra.Fault(azurepgtest.Hang)
	message := make(chan string, 1)
	go func() {
		buffer := make([]byte, 100)
		n, _ := socket.Read(buffer)
		message <- string(buffer[:n])
	}()
	go func() { // once the request hangs, and nothing has been said
		for azure.Entra.TokenRequests() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		select {
		case m := <-message:
			message <- "too early: " + m
		default:
		}
		azure.Entra.ClearFaults()
	}()
	runPassfile(t, azure, "host=mydb.postgres.database.azure.com user=shop azure_credential=client_secret azure_tenant_id="+p.TenantID+
		" azure_client_id="+p.ClientID+" azure_client_secret="+p.Secret)
	if m := <-message; m != "READY=1" {
		t.Errorf("systemd was told %q", m)
	}
}
