package azurepgtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg/azurepgtest"
)

// stopWithSessions stops s with a session that is idle, one that works, and a login that
// is under way, and checks what each gets.
func stopWithSessions(t *testing.T, s *azurepgtest.Server, app *azurepgtest.Principal) {
	t.Helper()
	ended := make(chan error)
	for _, use := range []func(conn *pgx.Conn) error{
		func(conn *pgx.Conn) error { _, err := conn.WaitForNotification(context.Background()); return err },
		func(conn *pgx.Conn) error {
			_, err := conn.Exec(context.Background(), "select pg_sleep(60)")
			return err
		},
	} {
		conn, err := login(t.Context(), s.Postgres, app.Name, s.Entra.Mint(app, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		go func() { ended <- use(conn) }()
	}
	underWay, err := net.Dial("tcp", s.Postgres.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer underWay.Close()
	negotiate(t, underWay, &pgproto3.SSLRequest{}, 'S') // else the kernel alone may know of it

	began := time.Now()
	for range 2 { // once more does nothing
		if err := s.Postgres.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 30*time.Second { // the statement and the login would last for a minute
		t.Errorf("Stop took %v", took)
	}
	for range 2 {
		got := pgError(t, <-ended)
		if got.Severity != "FATAL" || got.Code != "57P01" || got.Message != "terminating connection due to administrator command" {
			t.Errorf("a session got %s %s %s", got.Severity, got.Code, got.Message)
		}
	}
	underWay.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := underWay.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a login under way got %v; want its end", err) // a reset would say that Stop had to wait for it
	}
	if _, err := net.Dial("tcp", s.Postgres.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection got %v; want ECONNREFUSED", err)
	}
	if got := s.Postgres.Connections(); got != 0 {
		t.Errorf("Connections() = %d; want 0", got)
	}
}

func TestStoppedServerComesBackWithItsData(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	if err := s.Postgres.AddPasswordRole(t.Context(), "other", "hunter2", azurepgtest.MD5); err != nil {
		t.Fatal(err)
	}
	if err := s.Postgres.Exec(t.Context(), "create table kept as select 42 as x"); err != nil {
		t.Fatal(err)
	}
	address := s.Postgres.Addr()
	for range 2 {
		logins := s.Postgres.Logins()
		stopWithSessions(t, s, app)
		if err := s.Postgres.Exec(t.Context(), "select 1"); err == nil {
			t.Error("the server behind still answers")
		}
		for range 2 { // once more does nothing
			if err := s.Postgres.Start(); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Postgres.Logins(); got != logins+2 {
			t.Errorf("Logins() = %d; want %d", got, logins+2)
		}
		if s.Postgres.Addr() != address {
			t.Errorf("the address is %s; want %s as before", s.Postgres.Addr(), address)
		}
		currentUser(t, s.Postgres, "app", s.Entra.Mint(app, nil))
		currentUser(t, s.Postgres, "other", "hunter2")
		conn, err := s.Postgres.Superuser(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var x int
		if err := conn.QueryRow(t.Context(), "select x from kept").Scan(&x); err != nil || x != 42 {
			t.Errorf("the table has %d, %v; want 42", x, err)
		}
	}
}

func TestStoppedServerCanBeClosed(t *testing.T) {
	t.Parallel()
	s, err := azurepgtest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Postgres.Stop(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Postgres.Stop(); err != nil {
		t.Errorf("Stop after Close: %v", err)
	}
	if err := s.Postgres.Start(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Start after Close: %v", err)
	}
	if _, err := os.Stat(s.Postgres.CAFile); !os.IsNotExist(err) {
		t.Errorf("the files are left: %v", err)
	}
}

// TestOtherServerGoesOnWhileStopped takes the shared server for one that is not ours.
func TestOtherServerGoesOnWhileStopped(t *testing.T) {
	su, err := shared.Postgres.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer su.Close(context.Background())
	if os.Getenv("AZUREPG_TEST_POSTGRES") == "" {
		t.Setenv("AZUREPG_TEST_POSTGRES", "user=postgres dbname=postgres port=5432 host="+su.Config().Host)
	}
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app elsewhere")
	stopWithSessions(t, s, app)
	if _, err := su.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("a session that is none of ours: %v", err)
	}
	if err := s.Postgres.Start(); err != nil {
		t.Fatal(err)
	}
	currentUser(t, s.Postgres, app.Name, s.Entra.Mint(app, nil))
	err = s.Postgres.AddPasswordRole(t.Context(), "other", "hunter2", azurepgtest.SCRAM)
	if err == nil || !strings.Contains(err.Error(), "pg_hba.conf") {
		t.Errorf("AddPasswordRole: got %v", err)
	}

	var database string
	t.Run("database", func(t *testing.T) { database = databaseOf(t, s.NewDatabase(t, app.Name)) })
	stopped := databaseOf(t, s.NewDatabase(t, app.Name)) // dropped though the front is down
	t.Cleanup(func() {
		for _, name := range []string{database, stopped} {
			if exists(t, shared, name) {
				t.Errorf("database %s is left", name)
			}
		}
	})
	if err := s.Postgres.Stop(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
