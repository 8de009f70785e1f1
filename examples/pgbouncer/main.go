// Pgbouncer works through a PgBouncer that pools transactions, such as the one
// of Azure's flexible servers on port 6432: every transaction may have another
// server connection, and what a session remembers is lost between two of them.
// docs/pgbouncer.md says what that means for each way of running queries.
//
//	DATABASE_URL=postgres://app@mydb.postgres.database.azure.com:6432/shop go run ./pgbouncer
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/azurepg/azurepg"
)

func main() {
	log.SetFlags(0)
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		log.Fatal(err)
	}
	db, err := open(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := run(context.Background(), db, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// open has pgx send each query whole, in one round trip, which needs nothing of the
// connection that it meets. In a DSN that is default_query_exec_mode=cache_describe.
func open(cfg *azurepg.Config) (*sql.DB, error) {
	if cfg.BaseParams["default_query_exec_mode"] == "" {
		cfg.BaseParams = map[string]string{"default_query_exec_mode": "cache_describe"}
	}
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// run keeps whatever must stay together in one transaction: settings with SET LOCAL,
// locks that end with it.
func run(ctx context.Context, db *sql.DB, out io.Writer) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range []string{
		"set local statement_timeout = '5s'",
		"select pg_advisory_xact_lock(6432)", // one at a time
		"create table if not exists visits (id bigserial primary key, tags text[] not null)",
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "insert into visits (tags) values ($1)", []string{"by", "PgBouncer"}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	var visits int
	var tags string
	err = db.QueryRowContext(ctx, "select count(*), array_to_string(max(tags), ' ') from visits where tags @> $1", []string{"by"}).Scan(&visits, &tags)
	fmt.Fprintf(out, "%d visits %s\n", visits, strings.TrimSpace(tags))
	return err
}
