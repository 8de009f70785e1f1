// Ent is ent over azurepg. Package ent below is generated from its schema.
//
// What differs from a driver that ent knows: ent's sql.Open takes the driver's name for
// its dialect, and "azurepg" is none; it would write MySQL. So open the pool with
// database/sql and give it to OpenDB with dialect.Postgres.
//
//	go run ./ent 'postgres://app@mydb.postgres.database.azure.com/shop'
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/ent/ent"
	"github.com/azurepg/azurepg/examples/ent/ent/article"
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
	lamp, err := use(context.Background(), client(db))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lamp.Name, lamp.Tags, lamp.Details)
}

func client(db *sql.DB) *ent.Client {
	return ent.NewClient(ent.Driver(entsql.OpenDB(dialect.Postgres, db)))
}

// use replaces an article in a transaction, tries to add it again, and reads it.
func use(ctx context.Context, client *ent.Client) (*ent.Article, error) {
	if err := client.Schema.Create(ctx); err != nil {
		return nil, err
	}
	if err := replace(ctx, client); err != nil {
		return nil, err
	}
	if err := lamp(client.Article).Exec(ctx); !ent.IsConstraintError(err) {
		return nil, fmt.Errorf("a second lamp: %v; want ent's constraint error", err)
	}
	return client.Article.Query().Where(article.Name("lamp"), func(s *entsql.Selector) {
		s.Where(entsql.ExprP("'light' = any(tags) and details->>'watt' = '9'"))
	}).Only(ctx)
}

func replace(ctx context.Context, client *ent.Client) error {
	tx, err := client.Tx(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Article.Delete().Where(article.Name("lamp")).Exec(ctx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := lamp(tx.Article).Exec(ctx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func lamp(articles *ent.ArticleClient) *ent.ArticleCreate {
	return articles.Create().SetName("lamp").SetTags(pq.StringArray{"light", "new"}).SetDetails(map[string]any{"watt": 9})
}
