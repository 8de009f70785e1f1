// Otelsql traces database/sql over azurepg with OpenTelemetry: otelsql.OpenDB over a
// Connector. Each login, with its token's fetch if there is one, is a span
// sql.connector.connect.
//
// What differs from other drivers: otelsql.Register opens the driver with an empty DSN,
// only to get at it. To azurepg the empty DSN is the PG* environment; without PGHOST it
// is an error ("host: …"), and so is Register. OpenDB, and Open with a DSN, do not ask.
// Raw gives *otelsql.otConn; the base driver's connection is what its Raw returns.
//
//	go run ./otelsql 'postgres://app@mydb.postgres.database.azure.com/shop'
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/XSAM/otelsql"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/azurepg/azurepg"
)

func main() {
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	spans := tracetest.NewInMemoryExporter() // a program has otlptracegrpc or the like
	db, err := open(dsn, nil, sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	if err != nil {
		log.Fatal(err)
	}
	if err := use(context.Background(), db); err != nil {
		log.Fatal(err)
	}
	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name)
	}
}

// open returns a pool whose calls are traced. A nil base is pgx.
func open(dsn string, base azurepg.Base, tracer *sdktrace.TracerProvider) (*sql.DB, error) {
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	cfg.Base = base
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return otelsql.OpenDB(connector, otelsql.WithTracerProvider(tracer),
		otelsql.WithAttributes(attribute.String("db.system.name", "postgresql"))), nil
}

// use adds an article twice in a transaction that it leaves undone.
func use(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `create temporary table articles (name text primary key) on commit drop`); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `insert into articles values ($1), ($1)`, "lamp")
	var server interface{ SQLState() string } // of every base driver's errors
	if !errors.As(err, &server) || server.SQLState() != "23505" {
		return fmt.Errorf("two lamps: %v; want a unique violation", err)
	}
	return nil
}
