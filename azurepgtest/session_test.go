package azurepgtest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestSessionIsARealOne(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	app := shared.AddServicePrincipal("session")
	database := fmt.Sprintf("my database %d", time.Now().UnixNano()) // a server of AZUREPG_TEST_POSTGRES may be shared
	if err := shared.Postgres.CreateDatabase(ctx, database); err != nil {
		t.Fatal(err)
	}
	conn, err := loginWith(ctx, shared.Postgres, app.Name, shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) {
		c.Database = database
		c.RuntimeParams["application_name"] = "my tests"
		c.MaxProtocolVersion = "3.2"
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var name string
	if err := conn.QueryRow(ctx, "select current_setting('application_name')").Scan(&name); err != nil || name != "my tests" {
		t.Errorf("application_name is %q, %v; want my tests", name, err)
	}
	if got := conn.PgConn().ParameterStatus("server_encoding"); got != "UTF8" {
		t.Errorf("server_encoding is %q; want UTF8", got)
	}
	if _, err := conn.Exec(ctx, "create table t (x int, y text)"); err != nil {
		t.Fatal(err)
	}
	rows := make([][]any, 20000) // more than the buffers on the way hold
	for i := range rows {
		rows[i] = []any{int32(i), strings.Repeat("x", 100)}
	}
	if n, err := conn.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"x", "y"}, pgx.CopyFromRows(rows)); err != nil || n != 20000 {
		t.Errorf("CopyFrom: %d, %v", n, err)
	}
	var sum int
	if err := conn.QueryRow(ctx, "select sum(length(y)) from t").Scan(&sum); err != nil || sum != 2000000 {
		t.Errorf("sum is %d, %v; want 2000000", sum, err)
	}
}

func TestErrorsOfTheRealServerArePassedOn(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("passed on")
	_, err := loginWith(t.Context(), shared.Postgres, app.Name, shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) { c.Database = "missing" })
	if got := pgError(t, err); got.Code != "3D000" {
		t.Errorf("got %s %s; want 3D000", got.Code, got.Message)
	}
}

func TestCancelRequestReachesTheServer(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("cancel")
	conn, err := login(t.Context(), shared.Postgres, app.Name, shared.Entra.Mint(app, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	ended := make(chan error)
	go func() {
		_, err := conn.Exec(context.Background(), "select pg_sleep(60)")
		ended <- err
	}()
	su, err := shared.Postgres.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer su.Close(context.Background())
	for sleeping := false; !sleeping; {
		const query = "select count(*) = 1 from pg_stat_activity where usename = 'cancel' and query like '%pg_sleep%' and state = 'active'"
		if err := su.QueryRow(t.Context(), query).Scan(&sleeping); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := pgError(t, <-ended); got.Code != "57014" {
		t.Errorf("got %s; want 57014, query_canceled", got.Code)
	}
}

func TestKilledConnectionsAreGoneAndNewOnesAreFine(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	token := s.Entra.Mint(app, nil)
	var all []*pgx.Conn
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			conn, err := login(t.Context(), s.Postgres, "app", token)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, conn)
		}()
	}
	wg.Wait()
	if got := s.Postgres.Connections(); got != 10 {
		t.Errorf("Connections() = %d; want 10", got)
	}
	if got := s.Postgres.KillConnections(); got != 10 {
		t.Errorf("KillConnections() = %d; want 10", got)
	}
	if got := s.Postgres.KillConnections(); got != 0 {
		t.Errorf("KillConnections() = %d at once again; want 0", got)
	}
	for _, conn := range all {
		if _, err := conn.Exec(t.Context(), "select 1"); err == nil {
			t.Error("a killed connection answers")
		}
	}
	currentUser(t, s.Postgres, "app", token)
}

func TestSessionsBeyondTheLimitAreRefused(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	if err := s.Postgres.AddPasswordRole(t.Context(), "other", "hunter2", azurepgtest.SCRAM); err != nil {
		t.Fatal(err)
	}
	s.Postgres.SetMaxConnections(2)
	var open []*pgx.Conn
	for _, role := range []string{"app", "other"} {
		password := "hunter2"
		if role == "app" {
			password = s.Entra.Mint(app, nil)
		}
		conn, err := login(t.Context(), s.Postgres, role, password)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		open = append(open, conn)
	}
	for _, tt := range []struct{ name, role, password, code, message string }{
		{"good token", "app", s.Entra.Mint(app, nil), "53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute"},
		{"good password", "other", "hunter2", "53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute"},
		{"no token", "app", "hunter2", "28P01", "The access token has invalid format."},
		{"wrong password", "other", "hunter3", "28P01", `password authentication failed for user "other"`},
	} {
		refusals := s.Postgres.Refusals()
		_, err := login(t.Context(), s.Postgres, tt.role, tt.password)
		if got := pgError(t, err); got.Severity != "FATAL" || got.Code != tt.code || !strings.HasPrefix(got.Message, tt.message) {
			t.Errorf("%s: got %s %s %s; want FATAL %s %s", tt.name, got.Severity, got.Code, got.Message, tt.code, tt.message)
		}
		if got := s.Postgres.Refusals() - refusals; got != 1 {
			t.Errorf("%s: %d refusals; want 1", tt.name, got)
		}
	}
	if got := s.Postgres.Connections(); got != 2 {
		t.Errorf("Connections() = %d; want 2", got)
	}
	if _, err := open[0].Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("an open session: %v", err)
	}
	open[1].Close(context.Background())
	within(t, 10*time.Second, "end of the session", func() bool { return s.Postgres.Connections() == 1 })
	currentUser(t, s.Postgres, "app", s.Entra.Mint(app, nil)) // the slot is free

	s.Postgres.SetMaxConnections(1)
	if _, err := login(t.Context(), s.Postgres, "app", s.Entra.Mint(app, nil)); err == nil {
		t.Error("logged in beyond a lowered limit")
	}
	open[0].Close(context.Background())
	within(t, 10*time.Second, "end of all sessions", func() bool { return s.Postgres.Connections() == 0 })
	for role, password := range map[string]string{"app": s.Entra.Mint(app, nil), "other": "hunter2"} {
		for range 2 { // one that does not become a session takes no slot
			_, err := loginWith(t.Context(), s.Postgres, role, password, func(c *pgx.ConnConfig) { c.Database = "missing" })
			if got := pgError(t, err); got.Code != "3D000" {
				t.Errorf("%s, missing database: got %s %s; want 3D000", role, got.Code, got.Message)
			}
		}
	}
	s.Postgres.SetMaxConnections(0)
	currentUser(t, s.Postgres, "app", s.Entra.Mint(app, nil))
}
