package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/postgres"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
	"github.com/azurepg/azurepg/pq"
)

func TestMain(m *testing.M) { os.Exit(exampletest.Main(m)) }

func overPq(db *sql.DB) (database.Driver, error) {
	return postgres.WithInstance(db, &postgres.Config{MigrationsTable: "migrate_example_version"})
}

// matching are the database packages that the example advises.
var matching = map[string]func(*sql.DB) (database.Driver, error){azurepg.DriverName: overPgx, pq.DriverName: overPq}

func TestProgramRunsWithADSNAndNothingElse(t *testing.T) {
	exampletest.Prints(t, main, "version 2 dirty false\n")
}

func TestMigrateWorksWhileTokensRotate(t *testing.T) {
	exampletest.WithEachBase(t, func(t *testing.T, driver, dsn string) {
		application := exampletest.Open(t, driver, dsn) // works on while migrations run
		exampletest.WhileTokensRotate(t, application, func(ctx context.Context) error {
			m, err := open(driver, dsn, matching[driver], embedded)
			if err != nil {
				return err
			}
			var tags int
			up := m.Up()
			read := application.QueryRowContext(ctx, "select cardinality(tags) from migrate_articles where details @> '{\"watt\": 9}'").Scan(&tags)
			return errors.Join(up, read, m.Down(), errors.Join(m.Close()))
		})
	})
}

// What the example says of the database packages, and a unique violation as
// golang-migrate reports it.
func TestErrorsHaveTheirLineWithTheMatchingPackage(t *testing.T) {
	files := fstest.MapFS{"migrations/1_twice.up.sql": {Data: []byte("create table t (n int primary key);\ninsert into t values (7), (7);")}}
	typo := fstest.MapFS{"migrations/1_typo.up.sql": {Data: []byte("select 1;\nselect 2;\nselectt 3;")}}
	for _, row := range []struct {
		name, driver string
		over         func(*sql.DB) (database.Driver, error)
		line         uint
	}{
		{"pgx with database/pgx/v5", azurepg.DriverName, overPgx, 3},
		{"lib/pq with database/postgres", pq.DriverName, overPq, 3},
		{"pgx with database/postgres", azurepg.DriverName, overPq, 0},
		{"lib/pq with database/pgx/v5", pq.DriverName, overPgx, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := up(t, row.driver, row.over, files); !isDuplicate(err) {
				t.Errorf("got %v; want a unique violation", err)
			}
			got, err := up(t, row.driver, row.over, typo)
			if got.Line != row.line {
				t.Errorf("got line %d of %v; want %d", got.Line, err, row.line)
			}
		})
	}
}

// up runs migrations in an empty database and returns golang-migrate's error.
func up(t *testing.T, driver string, over func(*sql.DB) (database.Driver, error), files fstest.MapFS) (database.Error, error) {
	t.Helper()
	m, err := open(driver, exampletest.Azure(t).NewDatabase(t, "shop"), over, files)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var failed database.Error
	if err = m.Up(); !errors.As(err, &failed) {
		t.Fatalf("got %T %v; want a database.Error", err, err)
	}
	return failed, err
}

// What the example says of schemes.
func TestSchemesAreMigratesOwn(t *testing.T) {
	source, err := iofs.New(embedded, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	_, err = migrate.NewWithSourceInstance("iofs", source, "azurepg://app@db.example.com/shop")
	if err == nil || !strings.Contains(err.Error(), "unknown driver azurepg") {
		t.Errorf("got %v; want an unknown driver", err)
	}
}
