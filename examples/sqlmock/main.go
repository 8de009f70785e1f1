// Sqlmock is a program whose unit test needs neither PostgreSQL nor Entra: see
// main_test.go, where go-sqlmock is azurepg's base driver. For queries that are to
// run for real there is package azurepgtest.
//
//	go run ./sqlmock 'postgres://app@mydb.postgres.database.azure.com/shop'
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/azurepg/azurepg"
)

func main() {
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		log.Fatal(err)
	}
	s, err := openShop(cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if _, err := s.db.ExecContext(ctx, `create table if not exists sqlmock_articles (name text primary key)`); err != nil {
		log.Fatal(err)
	}
	err = s.add(ctx, "lamp")
	fmt.Println("there was a lamp:", errors.Is(err, errExists))
	if err != nil && !errors.Is(err, errExists) {
		log.Fatal(err)
	}
}

var errExists = errors.New("the article exists")

type shop struct{ db *sql.DB }

// openShop takes a Config, so that a test can set what a DSN cannot say.
func openShop(cfg *azurepg.Config) (*shop, error) {
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return &shop{sql.OpenDB(connector)}, nil
}

// add adds an article. Its error is errExists if it is there already.
func (s *shop) add(ctx context.Context, name string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	_, err = tx.ExecContext(ctx, `insert into sqlmock_articles (name) values ($1)`, name)
	var server interface{ SQLState() string } // of every base driver's errors
	if errors.As(err, &server) && server.SQLState() == "23505" {
		return errExists
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}
