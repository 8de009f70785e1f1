package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
	"github.com/azurepg/azurepg/pq"
)

func TestMain(m *testing.M) { os.Exit(exampletest.Main(m)) }

func TestProgramRunsWithADSNAndNothingElse(t *testing.T) {
	exampletest.Prints(t, main, "lamp [light new] map[watt:9]\n")
}

// opened is open, and closes its pool when the test ends.
func opened(t *testing.T, dialect postgres.Config) *gorm.DB {
	t.Helper()
	db, err := open(dialect)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	pool.SetMaxOpenConns(1) // whatever was prepared is met again
	return db
}

func TestGormWorksWhileTokensRotate(t *testing.T) {
	exampletest.WithEachBase(t, func(t *testing.T, driver, dsn string) {
		overPool := postgres.Config{Conn: exampletest.Open(t, driver, dsn)}
		if driver == pq.DriverName {
			overPool.DriverName = driver
		}
		byPool, byName := opened(t, overPool), opened(t, postgres.Config{DriverName: driver, DSN: dsn})
		pool, _ := byPool.DB()
		named, _ := byName.DB()
		named.SetConnMaxLifetime(50 * time.Millisecond)
		exampletest.WhileTokensRotate(t, pool, func(ctx context.Context) error {
			_, err := use(ctx, byPool)
			_, err2 := use(ctx, byName)
			return errors.Join(err, err2)
		})
	})
}

// What the example says of Conn and DriverName.
func TestMigratorNeedsToKnowTheDriver(t *testing.T) {
	type first struct{ ID int64 }
	type second struct {
		ID   int64
		Name string
	}
	rows := []struct {
		name, driver string
		conn         bool
		gormsName    string
		want         string
	}{
		{"pgx as Conn", azurepg.DriverName, true, "", ""},
		{"pgx by name", azurepg.DriverName, false, azurepg.DriverName, "0A000"},
		{"lib/pq by name", pq.DriverName, false, pq.DriverName, ""},
		{"lib/pq as Conn with its name", pq.DriverName, true, pq.DriverName, ""},
		{"lib/pq as Conn alone", pq.DriverName, true, "", "got 2 parameters but the statement requires 1"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dialect := postgres.Config{DriverName: row.gormsName, DSN: exampletest.Azure(t).NewDatabase(t, "shop")}
			if row.conn {
				dialect.Conn = exampletest.Open(t, row.driver, dialect.DSN)
			}
			db := opened(t, dialect)
			var err error
			for _, model := range []any{&first{}, &first{}, &second{}, &second{}} {
				if err = db.Table("things").AutoMigrate(model); err != nil {
					break
				}
			}
			if got := fmt.Sprint(err); err == nil && row.want != "" || err != nil && (row.want == "" || !strings.Contains(got, row.want)) {
				t.Errorf("got %s; want %q", got, row.want)
			}
		})
	}
}

// prepared returns how many statements are prepared after a query with an argument.
func prepared(t *testing.T, db *gorm.DB) (n int) {
	t.Helper()
	for range 2 {
		if err := db.Raw("select count(*) + ? from pg_prepared_statements", 0).Scan(&n).Error; err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// noon is a timestamp without time zone, as db reads it.
func noon(t *testing.T, db *gorm.DB) string {
	t.Helper()
	var at time.Time
	if err := db.Raw("select timestamp '2026-01-01 12:00'").Row().Scan(&at); err != nil {
		t.Fatal(err)
	}
	return at.Format(time.RFC3339)
}

// What the example says of PreferSimpleProtocol and TimeZone, beside gorm's own way
// to open pgx, which logs in by password here.
func TestWhatDiffersFromPostgresOpen(t *testing.T) {
	const timezone = "&TimeZone=Europe/Berlin"
	dsn := exampletest.Azure(t).NewDatabase(t, "shop")
	if err := exampletest.Azure(t).Postgres.AddPasswordRole(t.Context(), "stock", "pw", azurepgtest.SCRAM); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Scheme, u.User = "postgres", url.UserPassword("stock", "pw")
	u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {exampletest.Azure(t).Postgres.CAFile}}.Encode()
	own := opened(t, postgres.Config{DSN: u.String() + timezone, PreferSimpleProtocol: true})
	ours := opened(t, postgres.Config{Conn: exampletest.Open(t, azurepg.DriverName, dsn+timezone), PreferSimpleProtocol: true})
	simple := opened(t, postgres.Config{Conn: exampletest.Open(t, azurepg.DriverName, dsn+"&default_query_exec_mode=simple_protocol")})

	if got := []int{prepared(t, own), prepared(t, ours), prepared(t, simple)}; got[0] != 0 || got[1] == 0 || got[2] != 0 {
		t.Errorf("prepared statements of gorm's own, ours, and ours with default_query_exec_mode: %v; want none, some, none", got)
	}
	for _, row := range []struct {
		name string
		db   *gorm.DB
		want string
	}{
		{"gorm's own", own, "2026-01-01T12:00:00+01:00"},
		{"ours", ours, "2026-01-01T12:00:00Z"},
		{"ours, located", openLocated(t, dsn), "2026-01-01T12:00:00+01:00"},
	} {
		if got := noon(t, row.db); got != row.want {
			t.Errorf("%s: got %s; want %s", row.name, got, row.want)
		}
	}
	var zone string
	if err := ours.Raw("show timezone").Scan(&zone).Error; err != nil || zone != "Europe/Berlin" {
		t.Errorf("the session's time zone is %q, %v", zone, err)
	}
}

func openLocated(t *testing.T, dsn string) *gorm.DB {
	t.Helper()
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	place, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, postgres.Config{Conn: sql.OpenDB(located{connector, place})})
}
