//go:build unix

package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/transcript"
)

func TestPsqlLogsInWithoutAPassword(t *testing.T) {
	s := sharedAzure(t)
	c := run(t, s, s.AddServicePrincipal("app"))
	const who = "select current_user, current_database(), 1+1"
	for name, host := range map[string]string{"unix": "host=" + c.dir, "tcp": tcpDSN(c)} {
		if got := c.mustPsql(t, "-d", host, "-c", who); got != "app|postgres|2" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if got := c.mustPsql(t, "-U", "somebody", "-c", who); got != "app|postgres|2" {
		t.Errorf("as another user: got %q; want the DSN's role", got)
	}
}

func tcpDSN(c *child) string {
	host, port, _ := strings.Cut(c.tcp, ":")
	return "host=" + host + " port=" + port
}

func TestStartupParametersOfAClientReachTheServer(t *testing.T) {
	s := sharedAzure(t)
	c := run(t, s, s.AddServicePrincipal("app"), "application_name=proxy options='-c search_path=ours -c statement_timeout=77s'")
	const show = "select current_setting('application_name'), current_setting('search_path'), current_setting('statement_timeout'), current_setting('client_encoding')"
	if got, want := c.mustPsql(t, "-c", show), "psql|ours|77s|UTF8"; got != want {
		t.Errorf("without any: got %q; want %q", got, want)
	}
	conn, err := pgx.Connect(t.Context(), "postgres://whoever@"+c.tcp+"/postgres?sslmode=disable") // names no application
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var name string
	if err := conn.QueryRow(t.Context(), "show application_name").Scan(&name); err != nil || name != "proxy" {
		t.Errorf("application_name is %q, %v; want the DSN's", name, err)
	}
	got := c.mustPsql(t, "-d", "application_name=theirs client_encoding=LATIN1 options='-c search_path=theirs'", "-c", show)
	if want := "theirs|theirs|77s|LATIN1"; got != want {
		t.Errorf("with some: got %q; want %q", got, want)
	}
}

func TestCtrlCOfPsqlCancelsTheQuery(t *testing.T) {
	s := sharedAzure(t)
	c := run(t, s, s.AddServicePrincipal("app"))
	var out bytes.Buffer
	psql := c.program(t, "psql", "-X", "-d", "application_name=sleeper", "-c", "select pg_sleep(600)")
	psql.Stdout, psql.Stderr = &out, &out
	if err := psql.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the query runs", func() bool {
		return c.mustPsql(t, "-c", "select count(*) from pg_stat_activity where application_name = 'sleeper' and wait_event = 'PgSleep'") == "1"
	})
	if err := psql.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := psql.Wait(); err == nil || !strings.Contains(out.String(), "canceling statement due to user request") {
		t.Errorf("psql ended with %v: %s", err, out.String())
	}
	if got := c.metric(t, "cancel_requests_total"); got != "1" {
		t.Errorf("%s cancel requests; want 1", got)
	}
}

// make proxy-bench does it with 200 MB.
func TestCopyInAndOutKeepsEveryByte(t *testing.T) {
	s := sharedAzure(t)
	c := run(t, s, s.AddServicePrincipal("app"), "dbname="+database(t, s))
	in := filepath.Join(t.TempDir(), "in")
	var text bytes.Buffer
	for i := range 200_000 {
		fmt.Fprintf(&text, "%d\t%x\n", i, sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
	}
	if err := os.WriteFile(in, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c.mustPsql(t, "-c", "create table copied (i int, t text)", "-c", `\copy copied from '`+in+`'`)
	out := filepath.Join(t.TempDir(), "out")
	c.mustPsql(t, "-c", `\copy (select * from copied order by i) to '`+out+`'`)
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := sum(text.Bytes()), sum(got); a != b {
		t.Errorf("%d bytes with sum %s went in, and %d with %s came out", text.Len(), a, len(got), b)
	}
	dump, err := c.program(t, "pg_dump", "-t", "copied").Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	if !bytes.Contains(dump, text.Bytes()) {
		t.Errorf("pg_dump's %d bytes do not hold the %d of the table", len(dump), text.Len())
	}
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:8])
}

// database makes an empty database, which is dropped when the test ends.
func database(t *testing.T, s *azurepgtest.Server) string {
	t.Helper()
	config, err := pgx.ParseConfig(strings.Replace(s.NewDatabase(t, "app"), "azurepg://", "postgres://", 1))
	if err != nil {
		t.Fatal(err)
	}
	return config.Database
}

func TestWatchGoesOnAfterTheTokensEnd(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	s.Entra.SetLifetime(3 * time.Second)
	c := run(t, s, s.AddServicePrincipal("app"))
	psql := c.program(t, "psql", "-X", "-A", "-t")
	in, err := psql.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out transcript.Transcript
	psql.Stdout, psql.Stderr = &out, &out
	if err := psql.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = psql.Wait() }()
	defer func() { _ = psql.Process.Kill() }()
	fmt.Fprintln(in, `select 'row ' || extract(epoch from now()) \watch 0.1`)
	rows := func() int { return strings.Count(out.String(), "row ") }
	eventually(t, "psql watches", func() bool { return rows() > 0 })
	eventually(t, "the token has ended", func() bool {
		var expires float64
		fmt.Sscan(c.metric(t, "token_expires_timestamp_seconds"), &expires)
		return float64(time.Now().Unix()) > expires+1
	})
	before := rows()
	eventually(t, "psql goes on", func() bool { return rows() > before+2 })
	fetches := s.Entra.TokenRequests()
	if got := c.mustPsql(t, "-c", "select 1"); got != "1" || s.Entra.TokenRequests() <= fetches {
		t.Errorf("a new session says %q with %d token requests; want 1 with more than %d", got, s.Entra.TokenRequests(), fetches)
	}
	c.noLeaks(t, out.String())
}

func TestPgbenchRuns(t *testing.T) {
	s := sharedAzure(t)
	c := run(t, s, s.AddServicePrincipal("app"), "dbname="+database(t, s))
	for _, args := range [][]string{
		{"-i", "-q", "-s", "1"},
		{"-S", "-c", "4", "-j", "2", "-t", "200"},
		{"-S", "-C", "-c", "2", "-t", "20"},
		{"-M", "prepared", "-c", "2", "-t", "50"},
	} {
		out, err := c.program(t, "pgbench", args...).CombinedOutput()
		if err != nil || strings.Contains(string(out), "error") {
			t.Errorf("pgbench %q: %v: %s", args, err, out)
		}
	}
	if got := c.metric(t, "sessions"); got != "0" {
		eventually(t, "all sessions have ended", func() bool { return c.metric(t, "sessions") == "0" })
	}
}

func TestNotificationsArrive(t *testing.T) {
	s := sharedAzure(t)
	c := run(t, s, s.AddServicePrincipal("app"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, "postgres://whoever@"+c.tcp+"/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "listen news"); err != nil {
		t.Fatal(err)
	}
	c.mustPsql(t, "-c", "notify news, 'hello'")
	n, err := conn.WaitForNotification(ctx)
	if err != nil || n.Payload != "hello" {
		t.Errorf("got %v, %v; want hello", n, err)
	}
}
