package main

import (
	"context"
	"os"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

func TestMain(m *testing.M) { os.Exit(exampletest.Main(m)) }

func TestProgramRunsWithADSNAndNothingElse(t *testing.T) {
	exampletest.Prints(t, main, "lamp [light new] map[watt:9]\n")
}

func TestBunWorksWhileTokensRotate(t *testing.T) {
	exampletest.WithEachBase(t, func(t *testing.T, driver, dsn string) {
		db := exampletest.Open(t, driver, dsn)
		exampletest.WhileTokensRotate(t, db, func(ctx context.Context) error {
			_, err := use(ctx, bun.NewDB(db, pgdialect.New()))
			return err
		})
	})
}
