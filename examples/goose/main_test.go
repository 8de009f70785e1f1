package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

func TestMain(m *testing.M) { os.Exit(exampletest.Main(m)) }

func TestProgramRunsWithADSNAndNothingElse(t *testing.T) {
	exampletest.Prints(t, main, "version 3\n")
}

func TestGooseWorksWhileTokensRotate(t *testing.T) {
	exampletest.WithEachBase(t, func(t *testing.T, driver, dsn string) {
		db := exampletest.Open(t, driver, dsn)
		p, err := provider(db, embedded)
		if err != nil {
			t.Fatal(err)
		}
		exampletest.WhileTokensRotate(t, db, func(ctx context.Context) error {
			if _, err := p.Up(ctx); err != nil {
				return err
			}
			_, err := p.DownTo(ctx, 0)
			return err
		})
	})
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	exampletest.WithEachBase(t, func(t *testing.T, driver, dsn string) {
		db := exampletest.Open(t, driver, dsn)
		p, err := provider(db, fstest.MapFS{
			"migrations/1_ok.sql":    {Data: []byte("-- +goose Up\ncreate table t (n int primary key);")},
			"migrations/2_twice.sql": {Data: []byte("-- +goose Up\ninsert into t values (7);\ninsert into t values (8), (7);")},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Up(t.Context()); !isDuplicate(err) {
			t.Errorf("got %v; want a unique violation", err)
		}
		var rows int
		if err := db.QueryRow("select count(*) from t").Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d rows left, %v; want none", rows, err)
		}
	})
}

// What the example says of goose's older functions.
func TestDialectsAreGoosesOwn(t *testing.T) {
	if err := goose.SetDialect(azurepg.DriverName); err == nil || !strings.Contains(err.Error(), "unknown dialect") {
		t.Errorf("SetDialect: got %v; want an unknown dialect", err)
	}
	if db, err := goose.OpenDBWithDriver(azurepg.DriverName, "host=db.example.com"); err == nil || !strings.Contains(err.Error(), "unknown dialect") {
		t.Errorf("OpenDBWithDriver: got %v, %v; want an unknown dialect", db, err)
	}
	if err := goose.SetDialect("postgres"); err != nil {
		t.Error(err)
	}
}
