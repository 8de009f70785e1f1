// Bun is bun over azurepg. It needs no more than its PostgreSQL dialect.
//
// What differs from bun's own driver, pgdriver: errors of the server are pgx's
// *pgconn.PgError (or lib/pq's *pq.Error) and not pgdriver.Error, and pgdriver's
// Listener and CopyFrom do not work with another driver's connections; LISTEN and
// COPY are pgx's, through db.Conn(ctx).Raw.
//
//	go run ./bun 'postgres://app@mydb.postgres.database.azure.com/shop'
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/azurepg/azurepg"
)

// Article has an array and a jsonb column.
type Article struct {
	bun.BaseModel `bun:"table:bun_articles"`

	ID      int64          `bun:",pk,autoincrement"`
	Name    string         `bun:",unique,notnull"`
	Tags    []string       `bun:",array"`
	Details map[string]any `bun:",type:jsonb"`
}

func main() {
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	sqlDB, err := sql.Open(azurepg.DriverName, dsn)
	if err != nil {
		log.Fatal(err)
	}
	lamp, err := use(context.Background(), bun.NewDB(sqlDB, pgdialect.New()))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lamp.Name, lamp.Tags, lamp.Details)
}

// use replaces an article in a transaction, tries to add it again, and reads it.
func use(ctx context.Context, db *bun.DB) (*Article, error) {
	if _, err := db.NewCreateTable().Model((*Article)(nil)).IfNotExists().Exec(ctx); err != nil {
		return nil, err
	}
	lamp := &Article{Name: "lamp", Tags: []string{"light", "new"}, Details: map[string]any{"watt": 9}}
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewDelete().Model(lamp).Where("name = ?", lamp.Name).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(lamp).Exec(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = db.NewInsert().Model(&Article{Name: "lamp"}).Exec(ctx)
	var server interface{ SQLState() string } // of every base driver's errors
	if !errors.As(err, &server) || server.SQLState() != "23505" {
		return nil, fmt.Errorf("a second lamp: %v; want a unique violation", err)
	}
	found := new(Article)
	err = db.NewSelect().Model(found).Where("? = any(tags)", "light").Where("details->>'watt' = '9'").Scan(ctx)
	return found, err
}
