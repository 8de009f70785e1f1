// Package pqbase opens each of four libraries over lib/pq as azurepg's
// base. What they have in common is the driver's name: nothing in them knows of tokens.
package pqbase

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-migrate/migrate/v4"
	migratepg "github.com/golang-migrate/migrate/v4/database/postgres"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/azurepg/azurepg/pq" // registers the driver "azurepg-pq"
)

// Migrate runs the migrations in files. Closing it closes its connections.
func Migrate(dsn string, files fs.FS) error {
	db, err := sql.Open(pq.DriverName, dsn)
	if err != nil {
		return err
	}
	target, err := migratepg.WithInstance(db, &migratepg.Config{})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	source, err := iofs.New(files, ".")
	if err != nil {
		return errors.Join(err, target.Close())
	}
	m, err := migrate.NewWithInstance("iofs", source, "postgres", target)
	if err != nil {
		return errors.Join(err, source.Close(), target.Close())
	}
	err = m.Up()
	sourceErr, targetErr := m.Close()
	return errors.Join(err, sourceErr, targetErr)
}

// OpenSQLX returns sqlx's DB. sqlx has to be told once which placeholders the
// driver takes.
func OpenSQLX(dsn string) (*sqlx.DB, error) {
	sqlx.BindDriver(pq.DriverName, sqlx.DOLLAR)
	return sqlx.Open(pq.DriverName, dsn)
}

// OpenGORM returns gorm's DB.
func OpenGORM(dsn string) (*gorm.DB, error) {
	return gorm.Open(postgres.New(postgres.Config{DriverName: pq.DriverName, DSN: dsn}), &gorm.Config{TranslateError: true})
}

// OpenBun returns bun's DB.
func OpenBun(dsn string) (*bun.DB, error) {
	db, err := sql.Open(pq.DriverName, dsn)
	if err != nil {
		return nil, fmt.Errorf("bun: %w", err)
	}
	return bun.NewDB(db, pgdialect.New()), nil
}
