package main

import (
	"context"
	"database/sql"
	"os"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

func TestMain(m *testing.M) { os.Exit(exampletest.Main(m)) }

func TestProgramRunsWithADSNAndNothingElse(t *testing.T) {
	if got, want := exampletest.Output(t, main), "lamp [light new] map[watt:9]\n"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}

func TestBunWorksWhileTokensRotate(t *testing.T) {
	exampletest.WithEachBase(t, func(t *testing.T, driver, dsn string) {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		exampletest.WhileTokensRotate(t, db, func(ctx context.Context) error {
			_, err := use(ctx, bun.NewDB(db, pgdialect.New()))
			return err
		})
	})
}
