package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/XSAM/otelsql"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
	"github.com/azurepg/azurepg/pq"
)

func TestMain(m *testing.M) { os.Exit(exampletest.Main(m)) }

func TestProgramRunsWithADSNAndNothingElse(t *testing.T) {
	exampletest.Prints(t, main, "sql.connector.connect\nsql.conn.begin_tx\nsql.conn.exec\nsql.conn.exec\nsql.tx.rollback\n")
}

var bases = map[string]azurepg.Base{azurepg.DriverName: nil, pq.DriverName: pq.Base}

func TestOtelsqlWorksWhileTokensRotate(t *testing.T) {
	exampletest.WithEachBase(t, func(t *testing.T, driver, dsn string) {
		spans := tracetest.NewInMemoryExporter()
		db, err := open(dsn, bases[driver], sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		exampletest.WhileTokensRotate(t, db, func(ctx context.Context) error { return use(ctx, db) })
		all := fmt.Sprintf("%+v", spans.GetSpans())
		if !strings.Contains(all, "duplicate key") { // errors of queries stand in spans
			t.Error("the spans lack the unique violation")
		}
		for _, token := range exampletest.Azure(t).Entra.Tokens() {
			if strings.Contains(all, token) {
				t.Fatal("a token stands in the spans")
			}
		}
	})
}

// What the example says of Register and of Open.
func TestRegisterReadsTheEnvironment(t *testing.T) {
	t.Setenv("PGHOST", "")
	_, err := otelsql.Register(azurepg.DriverName)
	var de *azurepg.DSNError
	if !errors.As(err, &de) || de.Key != "host" {
		t.Errorf("without PGHOST: %v; want a DSNError with Key host", err)
	}
	if db, err := otelsql.Open(azurepg.DriverName, exampletest.Azure(t).NewDatabase(t, "shop")); err != nil {
		t.Error(err)
	} else if err := errors.Join(db.Ping(), db.Close()); err != nil {
		t.Errorf("Open with a DSN: %v", err)
	}
	t.Setenv("PGHOST", "db.example.com")
	if _, err := otelsql.Register(azurepg.DriverName); err != nil {
		t.Errorf("with PGHOST: %v", err)
	}
}

// What the example says of Raw.
func TestRawOfRawIsTheBaseDriversOwn(t *testing.T) {
	db, err := open(exampletest.Azure(t).NewDatabase(t, "shop"), nil, sdktrace.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.Raw(func(traced any) error {
		own := ""
		if r, ok := traced.(interface{ Raw() driver.Conn }); ok {
			own = fmt.Sprintf("%T", r.Raw())
		}
		if got := fmt.Sprintf("%T", traced); got != "*otelsql.otConn" || own != "*stdlib.Conn" {
			t.Errorf("Raw gives %s, and its Raw %q; want pgx's *stdlib.Conn from there", got, own)
		}
		return nil
	})
}
