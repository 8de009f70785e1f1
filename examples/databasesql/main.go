// Databasesql is azurepg under database/sql alone: arrays and jsonb, a
// transaction, a unique violation.
//
//	go run ./databasesql 'postgres://app@mydb.postgres.database.azure.com/shop'
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/lib/pq"

	"github.com/azurepg/azurepg"
)

func main() {
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	db, err := sql.Open(azurepg.DriverName, dsn)
	if err != nil {
		log.Fatal(err)
	}
	lamp, err := use(context.Background(), db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %v %s\n", lamp.name, lamp.tags, lamp.details)
}

type article struct {
	name    string
	tags    pq.StringArray // reads and writes arrays over pgx too, which also takes a []string
	details json.RawMessage
}

// use replaces an article in a transaction, tries to add it again, and reads it.
func use(ctx context.Context, db *sql.DB) (a article, err error) {
	if _, err = db.ExecContext(ctx, `create table if not exists sql_articles (name text primary key, tags text[], details jsonb)`); err != nil {
		return a, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return a, err
	}
	defer tx.Rollback() // after Commit it does nothing
	if _, err = tx.ExecContext(ctx, `delete from sql_articles where name = $1`, "lamp"); err != nil {
		return a, err
	}
	lamp := article{"lamp", pq.StringArray{"light", "new"}, json.RawMessage(`{"watt": 9}`)}
	const insert = `insert into sql_articles (name, tags, details) values ($1, $2, $3)`
	if _, err = tx.ExecContext(ctx, insert, lamp.name, lamp.tags, lamp.details); err != nil {
		return a, err
	}
	if err = tx.Commit(); err != nil {
		return a, err
	}
	_, err = db.ExecContext(ctx, insert, lamp.name, lamp.tags, lamp.details)
	if !isDuplicate(err) {
		return a, fmt.Errorf("a second lamp: %v; want a unique violation", err)
	}
	err = db.QueryRowContext(ctx, `select name, tags, details from sql_articles where 'light' = any(tags)`).Scan(&a.name, &a.tags, &a.details)
	return a, err
}

// isDuplicate asks for the SQLSTATE, and so knows *pgconn.PgError as well as *pq.Error:
// errors of queries are the base driver's own.
func isDuplicate(err error) bool {
	var server interface{ SQLState() string }
	return errors.As(err, &server) && server.SQLState() == "23505"
}
