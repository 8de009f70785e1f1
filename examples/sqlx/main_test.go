package main

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

func TestMain(m *testing.M) { os.Exit(exampletest.Main(m)) }

func TestProgramRunsWithADSNAndNothingElse(t *testing.T) {
	exampletest.Prints(t, main, "lamp [light new] {\"watt\": 9}\n")
}

func TestSqlxWorksWhileTokensRotate(t *testing.T) {
	exampletest.WithEachBase(t, func(t *testing.T, driver, dsn string) {
		db, err := open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		exampletest.WhileTokensRotate(t, db.DB, func(ctx context.Context) error {
			_, err := use(ctx, db)
			return err
		})
	})
}

// What the example says of BindDriver, and of NewDb in its place.
func TestBindVariablesNeedBindDriverOrAKnownName(t *testing.T) {
	db := exampletest.Open(t, azurepg.DriverName, exampletest.Azure(t).NewDatabase(t, "shop"))
	for _, row := range []struct{ driver, state string }{{"unheard of", "42601"}, {"pgx", ""}} {
		_, err := sqlx.NewDb(db, row.driver).NamedExec(`select cast(:n as int)`, map[string]any{"n": 1})
		var server interface{ SQLState() string }
		state := ""
		if errors.As(err, &server) {
			state = server.SQLState()
		}
		if state != row.state || (err != nil && state == "") {
			t.Errorf("as %q: got %v; want SQLSTATE %q", row.driver, err, row.state)
		}
	}
}
