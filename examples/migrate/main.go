// Migrate migrates a database with golang-migrate over azurepg.
//
// What differs from a database that golang-migrate knows: it chooses its database
// package by the scheme of a URL, and "azurepg" is none. So migrate.New and the migrate
// command do not know azurepg, and the pool is given to WithInstance instead: of
// database/pgx/v5 for "azurepg", of database/postgres for "azurepg-pq". (The other way
// round works too, but errors then lack their line.) Closing the Migrate closes that
// pool, so it gets one of its own. It keeps one connection for as long as it lives,
// because of its lock: a token may end meanwhile, the session does not.
//
//	go run ./migrate 'postgres://app@mydb.postgres.database.azure.com/shop'
package main

import (
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/azurepg/azurepg"
)

//go:embed migrations
var embedded embed.FS

func main() {
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	m, err := open(azurepg.DriverName, dsn, overPgx, embedded)
	if err != nil {
		log.Fatal(err)
	}
	if err := m.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		log.Fatal(err)
	}
	version, dirty, err := m.Version()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("version", version, "dirty", dirty)
	if err := errors.Join(m.Close()); err != nil {
		log.Fatal(err)
	}
}

// overPgx has a version table of its own here, to be no trouble to your migrate's.
func overPgx(db *sql.DB) (database.Driver, error) {
	return pgx.WithInstance(db, &pgx.Config{MigrationsTable: "migrate_example_version"})
}

// open returns a Migrate for the migrations in files. Closing it closes its connections.
func open(driver, dsn string, over func(*sql.DB) (database.Driver, error), files fs.FS) (*migrate.Migrate, error) {
	source, err := iofs.New(files, "migrations")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, errors.Join(err, source.Close())
	}
	target, err := over(db)
	if err != nil {
		return nil, errors.Join(err, source.Close(), db.Close())
	}
	return migrate.NewWithInstance("iofs", source, "postgres", target)
}

// isDuplicate says whether a migration failed because of a unique violation.
// golang-migrate's error does not unwrap to the server's, but holds it.
func isDuplicate(err error) bool {
	var failed database.Error
	if !errors.As(err, &failed) {
		return false
	}
	var server interface{ SQLState() string } // of every base driver's errors
	return errors.As(failed.OrigErr, &server) && server.SQLState() == "23505"
}
