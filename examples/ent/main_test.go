package main

import (
	"context"
	"os"
	"strings"
	"testing"

	entsql "entgo.io/ent/dialect/sql"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/ent/ent"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

func TestMain(m *testing.M) { os.Exit(exampletest.Main(m)) }

func TestProgramRunsWithADSNAndNothingElse(t *testing.T) {
	exampletest.Prints(t, main, "lamp [light new] map[watt:9]\n")
}

func TestEntWorksWhileTokensRotate(t *testing.T) {
	exampletest.WithEachBase(t, func(t *testing.T, driver, dsn string) {
		db := exampletest.Open(t, driver, dsn)
		client := client(db)
		exampletest.WhileTokensRotate(t, db, func(ctx context.Context) error {
			_, err := use(ctx, client)
			return err
		})
	})
}

// What the example says of ent's sql.Open.
func TestDialectsAreEntsOwn(t *testing.T) {
	drv, err := entsql.Open(azurepg.DriverName, exampletest.Azure(t).NewDatabase(t, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer drv.Close()
	if drv.Dialect() != azurepg.DriverName {
		t.Errorf("the dialect is %q", drv.Dialect())
	}
	_, err = ent.NewClient(ent.Driver(drv)).Article.Query().All(t.Context())
	if err == nil || !strings.Contains(err.Error(), "42601") {
		t.Errorf("got %v; want a syntax error, because of MySQL's quotes", err)
	}
}
