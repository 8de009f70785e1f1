package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestPsqlLogsInAsTheDSNSays(t *testing.T) {
	standby, err := azure.Postgres.AddStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, closed, _ := strings.Cut(closedAddress(t), ":")
	_, ofStandby, _ := strings.Cut(standby.Addr(), ":")
	_, ofPrimary, _ := strings.Cut(azure.Postgres.Addr(), ":")
	for _, row := range []struct {
		name, dsn, sql, want string
		env                  []string
	}{
		{name: "user", sql: "select current_user", want: "app"},
		{name: "TLS", sql: `\conninfo`, want: "SSL connection"},
		{name: "roots of the system", env: []string{"PGSSLROOTCERT="}, sql: "select 1", want: "1"},
		{name: "roots by name", env: []string{"PGSSLROOTCERT=system"}, sql: "select 1", want: "1"},
		{name: "verify-ca", dsn: "sslmode=verify-ca", sql: "select 1", want: "1", env: []string{"PGSSLMODE="}},
		{name: "database", dsn: "dbname=template1", sql: "select current_database()", want: "template1"},
		{name: "parameters", dsn: `application_name=mine timezone=Asia/Tokyo datestyle=German options='-c work_mem=5MB' my.own='a b,c\\d' statement_timeout=7s`,
			sql:  "select concat_ws('|', current_setting('application_name'), current_setting('timezone'), current_setting('datestyle'), current_setting('work_mem'), current_setting('my.own'), current_setting('statement_timeout'))",
			want: `mine|Asia/Tokyo|German, DMY|5MB|a b,c\d|7s`},
		{name: "several hosts", dsn: "host=localhost,localhost port=" + closed + "," + ofPrimary, sql: "select 1", want: "1"},
		{name: "primary of two", dsn: "host=localhost,localhost target_session_attrs=read-write port=" + ofStandby + "," + ofPrimary, sql: "select pg_is_in_recovery()", want: "f"},
		{name: "hostaddr", dsn: "hostaddr=127.0.0.1 host=localhost", sql: "select 1", want: "1"},
		{name: "a name that is not the server's", dsn: "hostaddr=127.0.0.1 host=db.example.com", sql: "select 1", want: "does not match host name"},
		{name: "a service that is not for psql", env: []string{"PGSERVICE=s", "PGSERVICEFILE=" + serviceFile(t)}, sql: "show application_name", want: "from-service"},
		{name: "a password file", env: []string{"PGPASSFILE=/nowhere"}, sql: "select 1", want: "1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := invoke(t, environment(azure, row.env...), "psql", row.dsn, "--", "-XAtc", row.sql)
			if !strings.Contains(got.out+got.err, row.want) {
				t.Errorf("got %+v; want %s", got, row.want)
			}
			wantNoLeak(t, azure, got.out, got.err)
		})
	}
}

func serviceFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(file, []byte("[s]\napplication_name=from-service\nazure_credential=default\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPsqlSendsNoTokenToAServerThatIsNotVerified(t *testing.T) {
	for _, evil := range []azurepgtest.Evil{azurepgtest.SelfSigned, azurepgtest.OtherName, azurepgtest.RefusesTLS, azurepgtest.OldTLS} {
		rec := azurepgtest.Record(t, evil)
		host, port, _ := strings.Cut(rec.Addr, ":")
		got := invoke(t, environment(azure, "PGSSLROOTCERT="+rec.CAFile), "psql", "host="+host+" port="+port, "--", "-Xc", "select 1")
		if passwords := rec.Passwords(); got.code != 2 || len(passwords) > 0 { // psql's own code for a connection that failed
			t.Errorf("%s: exit code %d, %d passwords, %s", evil, got.code, len(passwords), got.err)
		}
		wantNoLeak(t, azure, got.out, got.err, string(rec.Clear()))
	}
}

func TestPsqlsExitCodeIsPassedOn(t *testing.T) {
	for _, row := range []struct {
		code int
		args []string
	}{{0, []string{"-Xc", "select 1"}}, {1, []string{"-Xc", "select nothing"}}, {3, []string{"-X", "-v", "ON_ERROR_STOP=1", "-c", `\echo x`, "-f", script(t, "select nothing;")}}} {
		if got := invoke(t, environment(azure), append([]string{"psql", "--"}, row.args...)...); got.code != row.code {
			t.Errorf("%q: exit code %d, %s; want %d", row.args, got.code, got.err, row.code)
		}
	}
}

func script(t *testing.T, sql string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.sql")
	if err := os.WriteFile(file, []byte(sql), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMissingPsqlIsOneLine(t *testing.T) {
	got := invoke(t, environment(azure, "PATH="+t.TempDir()), "psql")
	got.wantFailure(t, exitFailed, "psql", "postgresql-client")
	if got := invoke(t, environment(azure, "AZURE_CLIENT_SECRET=HUNTER2"), "psql", "--", "-c", "select 1"); got.out != "" {
		t.Errorf("psql was started without a token: %s", got.out)
	} else {
		got.wantFailure(t, exitFailed, "psql", "AADSTS7000215")
	}
}

func TestArgumentsArePartedAtTheDashes(t *testing.T) {
	for _, row := range []struct {
		args []string // as flag leaves them
		dsn  string
		rest []string
		bad  bool
	}{
		{args: nil}, {args: []string{"host=h"}, dsn: "host=h"},
		{args: []string{"host=h", "--", "-c", "x"}, dsn: "host=h", rest: []string{"-c", "x"}},
		{args: []string{"", "--", "-c", "x"}, rest: []string{"-c", "x"}},
		{args: []string{"-c", "x"}, rest: []string{"-c", "x"}}, // of: -- -c x
		{args: []string{"host=h", "--"}, dsn: "host=h"},
		{args: []string{"host=h", "-c", "x"}, bad: true}, {args: []string{"host=h", "other"}, bad: true},
	} {
		dsn, rest, err := psqlArguments(row.args)
		if dsn != row.dsn || !slices.Equal(rest, row.rest) || (err != nil) != row.bad {
			if row.bad && err != nil {
				continue
			}
			t.Errorf("%q: got %q, %q, %v", row.args, dsn, rest, err)
		}
	}
}

func TestEnvironmentOfPsqlIsTheConfigsAndHoldsNoOtherSecret(t *testing.T) {
	cfg := &azurepg.Config{
		Hosts: []azurepg.Host{{Name: "a", Port: 1, Addr: "192.0.2.1"}, {Name: "b", Port: 2}}, Database: "d", SSLMode: "verify-full", SSLCert: "c", SSLKey: "k",
		SSLMinVersion: "TLSv1.3", SSLNegotiation: "direct", ConnectTimeout: 1500 * time.Millisecond, TargetSessionAttrs: "primary",
		RuntimeParams: map[string]string{"application_name": "n", "search_path": `a\b c`, "options": "-c x=y"}, ClientSecret: "of-the~DSN", ClientCertificatePassword: "of-the-file",
	}
	environ := []string{"PATH=/bin", "PSQLRC=/rc", "PG_COLOR=auto", "PGSERVICE=s", "PGPASSFILE=f", "PGREQUIRESSL=1", "PGSSLCRL=x", "PGHOST=other", "PGOPTIONS=-c a=b", "PgService=s",
		"AZURE_CLIENT_ID=id", "AZURE_CLIENT_SECRET=of-the-variable", "AZURE_PASSWORD=p", "IDENTITY_HEADER=h", "MSI_SECRET=m", "Azure_Client_Secret=of-windows", "LOWER=of-windows",
		"DATABASE_URL=postgres://h/d?azure_client_secret=of-the%7EDSN", "OTHER=x of-the-variable x", "FILE_PASSWORD=of-the-file", "ODD=%zz"}
	got := psqlEnvironment(cfg, azurepg.Login{User: "u", Password: "token"}, environ, "/roots")
	want := []string{"PATH=/bin", "PSQLRC=/rc", "PG_COLOR=auto", "AZURE_CLIENT_ID=id", "ODD=%zz",
		"PGHOST=a,b", "PGHOSTADDR=192.0.2.1,", "PGPORT=1,2", "PGDATABASE=d", "PGUSER=u", "PGPASSWORD=token", "PGSSLMODE=verify-full", "PGSSLROOTCERT=/roots", "PGSSLCERT=c", "PGSSLKEY=k",
		"PGSSLMINPROTOCOLVERSION=TLSv1.3", "PGSSLNEGOTIATION=direct", "PGGSSENCMODE=disable", "PGREQUIREAUTH=password", "PGCONNECT_TIMEOUT=2", "PGTARGETSESSIONATTRS=primary",
		"PGAPPNAME=n", `PGOPTIONS=-c x=y -c search_path=a\\b\ c`}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, row := range []struct{ mode, file, want string }{{"verify-full", "", "/roots"}, {"verify-full", "f", "f"}, {"verify-ca", "f", "f"}, {"require", "", ""}} {
		if got := rootsFor(&azurepg.Config{SSLMode: row.mode, SSLRootCert: row.file}, "/roots"); got != row.want {
			t.Errorf("%+v: got %s", row, got)
		}
	}
	if got := timeoutSeconds(-1); got != "0" {
		t.Errorf("no time limit: got %s; want 0", got)
	}
}

func TestSystemRootsAreAFileWhereThereIsOne(t *testing.T) {
	for _, row := range []struct {
		variable, file, want string
	}{{"/mine", "/etc/ssl/cert.pem", "/mine"}, {"", "/etc/ssl/cert.pem", "/etc/ssl/cert.pem"}, {"", "", "system"}} {
		got := systemRoots(func(string) string { return row.variable }, func(f string) bool { return f == row.file })
		if got != row.want {
			t.Errorf("%+v: got %s", row, got)
		}
	}
	if _, err := exec.LookPath("psql"); err != nil && os.Getenv("CI") == "true" {
		t.Error("there is no psql: the tests of this package need it")
	}
}
