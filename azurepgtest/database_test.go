package azurepgtest_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
)

func databaseOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// exists reports whether s has the database.
func exists(t *testing.T, s *azurepgtest.Server, database string) bool {
	t.Helper()
	conn, err := s.Postgres.Superuser(context.Background()) // in Cleanup too
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var n int
	if err := conn.QueryRow(context.Background(), "select count(*) from pg_database where datname = $1", database).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n == 1
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	const role = "fresh database"
	var all [3]string
	t.Run("group", func(t *testing.T) {
		for i := range all {
			t.Run("test", func(t *testing.T) {
				t.Parallel()
				dsn := shared.NewDatabase(t, role) // the first adds the role
				name := databaseOf(t, dsn)
				all[i] = name
				if want := strings.Replace(shared.DSN(role), "/postgres?", "/"+name+"?", 1); dsn != want {
					t.Error("the DSN is not that of the role but for the database")
				}
				app := shared.AddServicePrincipal(role)
				conn, err := loginWith(t.Context(), shared.Postgres, role, shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) { c.Database = name })
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(context.Background())
				var owner bool
				const query = "select pg_get_userbyid(datdba) = session_user from pg_database where datname = current_database()"
				if err := conn.QueryRow(t.Context(), query).Scan(&owner); err != nil || !owner {
					t.Errorf("the role owns its database: %v, %v", owner, err)
				}
				if _, err := conn.Exec(t.Context(), "create table orders as select 1; create schema private"); err != nil {
					t.Error(err)
				}
			})
		}
	})
	for i, name := range all {
		if name == "" || name == "postgres" || name == all[(i+1)%len(all)] {
			t.Errorf("the databases are %q", all)
		}
		if exists(t, shared, name) {
			t.Errorf("database %s is left", name)
		}
	}
}

func TestDatabaseIsDroppedUnderASession(t *testing.T) {
	t.Parallel()
	var conn *pgx.Conn
	var name string
	t.Run("test", func(t *testing.T) {
		name = databaseOf(t, shared.NewDatabase(t, "forced"))
		app := shared.AddServicePrincipal("forced")
		var err error
		conn, err = loginWith(t.Context(), shared.Postgres, "forced", shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) { c.Database = name })
		if err != nil {
			t.Fatal(err)
		}
	})
	if conn == nil {
		t.Fatal("no session")
	}
	defer conn.Close(context.Background())
	if exists(t, shared, name) {
		t.Error("the database is left")
	}
	if _, err := conn.Exec(t.Context(), "select 1"); err == nil {
		t.Error("the session goes on")
	}
}

func TestDatabaseOfAStoppedServerIsNoFailure(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	s.NewDatabase(t, "app") // its clean-up comes before the Server's
	if err := s.Postgres.Stop(); err != nil {
		t.Error(err)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := azurepgtest.New(nil)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// A cleaner is a test that ends when we say so.
type cleaner struct {
	testing.TB
	cleanups []func()
}

func (c *cleaner) Cleanup(f func()) { c.cleanups = append(c.cleanups, f) }

// BenchmarkNewDatabase makes and drops.
func BenchmarkNewDatabase(b *testing.B) {
	for b.Loop() {
		test := &cleaner{TB: b}
		shared.NewDatabase(test, "benchmark")
		for _, f := range test.cleanups {
			f()
		}
	}
}
