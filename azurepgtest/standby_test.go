package azurepgtest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/azurepg/azurepg/azurepgtest"
)

// session logs in to p for the length of the test.
func session(t *testing.T, p *azurepgtest.Postgres, role, token string) *pgx.Conn {
	t.Helper()
	conn, err := login(t.Context(), p, role, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// count asks p how many rows table has.
func count(t *testing.T, p *azurepgtest.Postgres, table string) (n int) {
	t.Helper()
	su, err := p.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer su.Close(context.Background())
	if err := su.QueryRow(t.Context(), "select count(*) from "+table).Scan(&n); err != nil {
		return -1
	}
	return n
}

func execute(t *testing.T, p *azurepgtest.Postgres, sql string) {
	t.Helper()
	if err := p.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func addStandby(t *testing.T, p *azurepgtest.Postgres) *azurepgtest.Postgres {
	t.Helper()
	standby, err := p.AddStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return standby
}

func TestStandbyFollowsUntilItIsPromoted(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	execute(t, s.Postgres, "create table before as select 1")
	standby := addStandby(t, s.Postgres)
	if standby.Addr() == s.Postgres.Addr() {
		t.Fatalf("both listen at %s", standby.Addr())
	}
	conn := session(t, standby, "app", s.Entra.Mint(app, nil))
	if got := count(t, standby, "before"); got != 1 {
		t.Errorf("what was written before is %d rows on the standby; want 1", got)
	}
	execute(t, s.Postgres, "create table after as select 1")
	within(t, 10*time.Second, "table on the standby", func() bool { return count(t, standby, "after") == 1 })
	_, err := conn.Exec(t.Context(), "create table own ()")
	if got := pgError(t, err); got.Code != "25006" {
		t.Errorf("a write on the standby: %s %s; want 25006", got.Code, got.Message)
	}
	if _, err := login(t.Context(), standby, "app", "hunter2"); err == nil {
		t.Error("the standby let somebody in without a token")
	}

	if err := s.Postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "create table own ()"); err != nil {
		t.Errorf("a write of the same session after the promotion: %v", err)
	}
	if err := standby.Promote(t.Context()); err == nil {
		t.Error("a primary was promoted")
	}
}

func TestOldPrimaryFollowsTheNewOne(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	first, second := s.Postgres, addStandby(t, s.Postgres)
	addr := first.Addr()
	for i, end := range []func(*azurepgtest.Postgres) error{(*azurepgtest.Postgres).Stop, (*azurepgtest.Postgres).Crash} {
		if err := end(first); err != nil {
			t.Fatal(err)
		}
		if err := second.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		execute(t, second, "create table t"+string(rune('0'+i))+" as select 1")
		if err := first.Follow(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		conn := session(t, first, "app", s.Entra.Mint(app, nil))
		_, err := conn.Exec(t.Context(), "create table own ()")
		if got := pgError(t, err); got.Code != "25006" || count(t, first, "t"+string(rune('0'+i))) != 1 {
			t.Errorf("a write on the old primary: %s; want 25006, and the rows of the new one", got.Code)
		}
		first, second = second, first
	}
	if s.Postgres.Addr() != addr {
		t.Errorf("the address is %s; want %s as before", s.Postgres.Addr(), addr)
	}
	if err := first.Follow(t.Context(), first); err == nil {
		t.Error("a server follows itself")
	}
}

func TestCrashTellsNobodyAndKeepsWhatWasWritten(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	conn := session(t, s.Postgres, "app", s.Entra.Mint(app, nil))
	if _, err := conn.Exec(t.Context(), "set synchronous_commit = on; create table kept as select 1"); err != nil {
		t.Fatal(err)
	}
	idle := make(chan error, 1)
	go func() { _, err := conn.WaitForNotification(context.Background()); idle <- err }()
	if err := s.Postgres.Crash(); err != nil {
		t.Fatal(err)
	}
	var said *pgconn.PgError
	if err := <-idle; err == nil || errors.As(err, &said) {
		t.Errorf("the session got %v; want its end without a word", err)
	}
	if _, err := net.Dial("tcp", s.Postgres.Addr()); err == nil {
		t.Error("the crashed server accepts connections")
	}
	if err := s.Postgres.Start(); err != nil {
		t.Fatal(err)
	}
	if got := count(t, s.Postgres, "kept"); got != 1 {
		t.Errorf("%d rows are left; want 1", got)
	}
}

func TestStandbyEndsWithItsServer(t *testing.T) {
	t.Parallel()
	s, err := azurepgtest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	standby, err := s.Postgres.AddStandby(t.Context())
	if err != nil {
		s.Close()
		t.Fatal(err)
	}
	su, err := standby.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer su.Close(context.Background())
	shown := shownAt(standby.Addr())
	if shown == nil {
		t.Fatal("the standby has no front")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(su.Config().Host)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the standby's files are left: %v", err)
	}
	if now := shownAt(standby.Addr()); now != nil && now.Equal(shown) {
		t.Error("the standby's front is left")
	}
	if _, err := s.Postgres.AddStandby(t.Context()); err == nil {
		t.Error("a closed Server got a standby")
	}
}
