//go:build unix

package proxy_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestRefusedTokenIsReplacedOnceForAllClients(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	c := run(t, s, s.AddServicePrincipal("app"))
	c.mustPsql(t, "-c", "select 1")
	s.Entra.RevokeTokens()
	for range 3 {
		c.mustPsql(t, "-c", "select 1")
	}
	for name, want := range map[string]string{"token_fetches_forced_total": "1", "server_logins_retried_total": "1", "sessions_failed_total": "0"} {
		if got := c.metric(t, name); got != want {
			t.Errorf("%s is %s; want %s", name, got, want)
		}
	}
}

func TestPsqlShowsTheServersWordsAndTheAdvice(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	c := run(t, s, app, "user=nobody")
	out, err := c.psql(t, "-c", "select 1")
	for _, want := range []string{
		`FATAL:  password authentication failed for user "nobody"`,
		"DETAIL:  The token is of ",
		"HINT:  the role is missing, misspelt, or of another principal: compare with `select * from pgaadauth_list_principals(false)`",
	} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("psql says (%v):\n%s\nwant %s", err, out, want)
		}
	}
	code, text := c.get(t, "/readyz")
	if code != 503 || !strings.Contains(text, "nobody") {
		t.Errorf("/readyz says %d %s", code, text)
	}
	if code, _ := c.get(t, "/livez"); code != 200 {
		t.Errorf("/livez says %d", code)
	}
	if !strings.Contains(c.said(), `"msg":"login failed","sqlstate":"28P01"`) {
		t.Errorf("the log says nothing of it:\n%s", c.said())
	}
}

func TestEntrasRefusalReachesTheClient(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	s.Entra.ExpireSecret(app)
	c := run(t, s, app)
	out, err := c.psql(t, "-c", "select 1")
	if want := "AADSTS7000222"; err == nil || !strings.Contains(out, "FATAL:") || !strings.Contains(out, want) {
		t.Errorf("psql says (%v): %s; want FATAL and %s", err, out, want)
	}
}

func TestServerMayRestart(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	c := run(t, s, s.AddServicePrincipal("app"))
	c.mustPsql(t, "-c", "select 1")
	if code, text := c.get(t, "/readyz"); code != 200 {
		t.Errorf("/readyz says %d %s; want 200", code, text)
	}
	if err := s.Postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	out, err := c.psql(t, "-c", "select 1")
	if err == nil || !strings.Contains(out, "FATAL:  azurepg proxy: no connection to ") || !strings.Contains(out, "HINT:  nothing listens at this host and port") {
		t.Errorf("without a server psql says (%v): %s", err, out)
	}
	eventually(t, "/readyz notices", func() bool { code, _ := c.get(t, "/readyz"); return code == 503 })
	if err := s.Postgres.Start(); err != nil {
		t.Fatal(err)
	}
	c.mustPsql(t, "-c", "select 1")
	eventually(t, "/readyz notices", func() bool { code, _ := c.get(t, "/readyz"); return code == 200 })
}

func TestFailOverIsFollowed(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	standby, err := s.Postgres.AddStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	two := fmt.Sprintf("host=%s,%s port=%d,%d target_session_attrs=", s.Postgres.Host, standby.Host, s.Postgres.Port, standby.Port)
	writer, reader := run(t, s, app, two+"read-write"), run(t, s, app, two+"prefer-standby")
	const where = "select pg_is_in_recovery()"
	if got := writer.mustPsql(t, "-c", where); got != "f" {
		t.Errorf("read-write got %q; want the primary", got)
	}
	if got := reader.mustPsql(t, "-c", where); got != "t" {
		t.Errorf("prefer-standby got %q; want the standby", got)
	}
	if err := s.Postgres.Crash(); err != nil {
		t.Fatal(err)
	}
	out, err := writer.psql(t, "-c", where)
	if err == nil || !strings.Contains(out, "the session is read-only") {
		t.Errorf("with a standby alone psql says (%v): %s", err, out)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*child{"read-write": writer, "prefer-standby": reader} {
		if got := c.mustPsql(t, "-c", where); got != "f" {
			t.Errorf("%s got %q; want the new primary", name, got)
		}
	}
	cancelThrough(t, writer) // at the second host
}

func cancelThrough(t *testing.T, c *child) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), "postgres://whoever@"+c.tcp+"/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	result := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "select pg_sleep(600)")
		result <- err
	}()
	eventually(t, "a cancel request ends the query", func() bool {
		if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-result:
			if err == nil || !strings.Contains(err.Error(), "57014") {
				t.Errorf("the query ended with %v", err)
			}
			return true
		default:
			return false
		}
	})
}

func TestSigtermLetsTransactionsFinishAndEndsTheRest(t *testing.T) {
	s := sharedAzure(t)
	c := run(t, s, s.AddServicePrincipal("app"), "-drain=1h", "dbname="+database(t, s))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(ctx, "postgres://whoever@"+c.tcp+"/?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	idle, busy := connect(), connect()
	c.mustPsql(t, "-c", "create table done (i int)")
	tx, err := busy.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it does not listen any more", func() bool {
		conn, err := pgx.Connect(ctx, "postgres://whoever@"+c.tcp+"/?sslmode=disable")
		if err == nil {
			_ = conn.Close(ctx)
		}
		return err != nil
	})
	if _, err := os.Lstat(filepath.Join(c.dir, ".s.PGSQL.5432")); err == nil {
		t.Error("the socket is still there")
	}
	if code, _ := c.get(t, "/readyz"); code != 503 {
		t.Errorf("/readyz says %d; want 503", code)
	}
	if _, err := tx.Exec(ctx, "insert into done values (1)"); err != nil {
		t.Errorf("a statement while it drains: %v", err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Errorf("a commit while it drains: %v", err)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil { // now
		t.Fatal(err)
	}
	if err := c.wait(t); err != nil {
		t.Errorf("it ended with %v", err)
	}
	for name, conn := range map[string]*pgx.Conn{"idle": idle, "busy before": busy} {
		if _, err := conn.Exec(ctx, "select 1"); err == nil || !strings.Contains(err.Error(), "57P01") {
			t.Errorf("%s: got %v; want SQLSTATE 57P01", name, err)
		}
	}
}
