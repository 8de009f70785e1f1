// Sqlx is sqlx over azurepg.
//
// What differs from a driver that sqlx knows: it has to be told once which bind
// variables azurepg takes, by BindDriver. Without that Named queries and Rebind
// leave ? in the SQL, a syntax error (42601). sqlx.NewDb(db, "pgx") knows without.
//
//	go run ./sqlx 'postgres://app@mydb.postgres.database.azure.com/shop'
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/jmoiron/sqlx"
	"github.com/jmoiron/sqlx/types"
	"github.com/lib/pq"

	"github.com/azurepg/azurepg"
)

// Article has an array and a jsonb column.
type Article struct {
	Name    string
	Tags    pq.StringArray // works over pgx too
	Details types.JSONText
}

func main() {
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	db, err := open(azurepg.DriverName, dsn)
	if err != nil {
		log.Fatal(err)
	}
	lamp, err := use(context.Background(), db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lamp.Name, lamp.Tags, lamp.Details)
}

func open(driver, dsn string) (*sqlx.DB, error) {
	sqlx.BindDriver(driver, sqlx.DOLLAR)
	return sqlx.Open(driver, dsn)
}

// use replaces an article in a transaction, tries to add it again, and reads it.
func use(ctx context.Context, db *sqlx.DB) (a Article, err error) {
	if _, err = db.ExecContext(ctx, `create table if not exists sqlx_articles (name text primary key, tags text[], details jsonb)`); err != nil {
		return a, err
	}
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return a, err
	}
	defer tx.Rollback() // after Commit it does nothing
	lamp := Article{Name: "lamp", Tags: pq.StringArray{"light", "new"}, Details: types.JSONText(`{"watt": 9}`)}
	if _, err = tx.ExecContext(ctx, tx.Rebind(`delete from sqlx_articles where name = ?`), lamp.Name); err != nil {
		return a, err
	}
	const insert = `insert into sqlx_articles (name, tags, details) values (:name, :tags, :details)`
	if _, err = tx.NamedExecContext(ctx, insert, lamp); err != nil {
		return a, err
	}
	if err = tx.Commit(); err != nil {
		return a, err
	}
	_, err = db.NamedExecContext(ctx, insert, lamp)
	var server interface{ SQLState() string } // of every base driver's errors
	if !errors.As(err, &server) || server.SQLState() != "23505" {
		return a, fmt.Errorf("a second lamp: %v; want a unique violation", err)
	}
	err = db.GetContext(ctx, &a, `select * from sqlx_articles where 'light' = any(tags)`)
	return a, err
}
