// Package exampletest runs the examples over Azure on loopback, with both base
// drivers, while tokens expire and connections come and go.
package exampletest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/pq"
)

// role is whom the examples log in as.
const role = "shop"

// server is what Azure returns. The first test to ask for it starts it, and not Main:
// go test would not see then that PostgreSQL's place has changed, and print old results.
var (
	server = sync.OnceValues(func() (*azurepgtest.Server, error) {
		s, err := azurepgtest.New(nil)
		if err == nil {
			s.Entra.SetLifetime(3 * time.Second) // so that one is renewed about every second
			started = s
		}
		return s, err
	})
	started *azurepgtest.Server
)

// Azure is the server that the tests of a package share.
func Azure(t *testing.T) *azurepgtest.Server {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Main is the TestMain of an example. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if started != nil {
		return closed(started, code)
	}
	return code
}

// Serve is the TestMain of tests that all need a Server, in *azure, whose tokens live as
// long as Azure's. It returns the exit code.
func Serve(m *testing.M, azure **azurepgtest.Server) int {
	s, err := azurepgtest.New(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*azure = s
	return closed(s, m.Run())
}

// closed closes s, and returns code unless that fails.
func closed(s *azurepgtest.Server, code int) int {
	if err := s.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// WithEachBase runs f for pgx and for lib/pq, each with an empty database, at the
// same time.
func WithEachBase(t *testing.T, f func(t *testing.T, driver, dsn string)) {
	t.Helper()
	for _, driver := range []string{azurepg.DriverName, pq.DriverName} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			f(t, driver, Azure(t).NewDatabase(t, role))
		})
	}
}

// WhileTokensRotate calls use until two tokens have been renewed and two
// connections of pool, which live 50 ms at most, replaced. No call may fail, no
// login may be refused.
func WhileTokensRotate(t *testing.T, pool *sql.DB, use func(context.Context) error) {
	t.Helper()
	azure := Azure(t)
	pool.SetConnMaxLifetime(50 * time.Millisecond)
	tokens := azure.Entra.TokenRequests()
	deadline := time.Now().Add(2 * time.Minute)
	for calls := 1; ; calls++ {
		if err := use(t.Context()); err != nil {
			t.Fatalf("call %d: %v", calls, err)
		}
		renewed, replaced := azure.Entra.TokenRequests()-tokens, pool.Stats().MaxLifetimeClosed
		if renewed >= 2 && replaced >= 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d tokens renewed and %d connections replaced in %d calls; want 2 of each", renewed, replaced, calls)
		}
	}
	if n := azure.Postgres.Refusals(); n > 0 {
		t.Errorf("%d logins refused, the last one: %s", n, azure.Postgres.LastRefusal())
	}
}

// Open is a pool that is closed when the test ends.
func Open(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Prints runs an example's main function as by hand, with a DSN and nothing else,
// twice on one database, and wants the second run to print that. If main ends the
// process, it says why.
func Prints(t *testing.T, main func(), want string) {
	t.Helper()
	t.Setenv("DATABASE_URL", Azure(t).NewDatabase(t, role))
	args, stdout := os.Args, os.Stdout
	defer func() { os.Args, os.Stdout = args, stdout }()
	os.Args = args[:1]
	var printed string
	for range 2 {
		name := t.TempDir() + "/stdout"
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout = file
		main()
		_ = file.Close()
		bytes, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		printed = string(bytes)
	}
	if printed != want {
		t.Errorf("it printed %q; want %q", printed, want)
	}
}
