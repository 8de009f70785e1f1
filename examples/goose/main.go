// Goose migrates a database over azurepg.
//
// What differs from a driver that goose knows: it takes dialects by their name, and
// "azurepg" is none. So NewProvider with DialectPostgres (or, for goose's older
// functions, SetDialect("postgres")); OpenDBWithDriver("azurepg", …) and the goose
// command do not know azurepg.
//
//	go run ./goose 'postgres://app@mydb.postgres.database.azure.com/shop'
package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"

	"github.com/pressly/goose/v3"

	"github.com/azurepg/azurepg"
)

//go:embed migrations
var embedded embed.FS

func main() {
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	db, err := sql.Open(azurepg.DriverName, dsn)
	if err != nil {
		log.Fatal(err)
	}
	p, err := provider(db, embedded)
	if err != nil {
		log.Fatal(err)
	}
	applied, err := p.Up(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range applied {
		fmt.Println(result)
	}
	version, err := p.GetDBVersion(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("version", version)
}

// provider has a version table of its own here, to be no trouble to your goose's.
func provider(db *sql.DB, files fs.FS) (*goose.Provider, error) {
	dir, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithTableName("goose_example_version"))
}

// isDuplicate says whether a migration failed because of a unique violation. Each runs
// in a transaction, so that nothing of it is left.
func isDuplicate(err error) bool {
	var server interface{ SQLState() string } // of every base driver's errors
	return errors.As(err, &server) && server.SQLState() == "23505"
}
