// Package moving holds the code that docs/moving.md shows: before.go without
// azurepg, after.go the same with it.
package moving

import (
	"context"
	"database/sql"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

import _ "github.com/azurepg/azurepg"

import _ "github.com/azurepg/azurepg/pq"

func pqAfter(dsn string) (*sql.DB, error) {
	db, err := sql.Open("azurepg-pq", dsn)
	return db, err
}

func stdlibAfter(dsn string) (*sql.DB, error) {
	db, err := sql.Open("azurepg", dsn)
	return db, err
}

func tracedAfter(dsn string, tracer pgx.QueryTracer) (*sql.DB, error) {
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	cfg.ConfigurePgx = func(config *pgx.ConnConfig) error {
		config.Tracer = tracer
		return nil
	}
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	return db, nil
}

func poolAfter(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	pool, err := azurepg.NewPool(ctx, dsn)
	return pool, err
}

func gormAfter(dsn string) (*gorm.DB, error) {
	db, err := gorm.Open(postgres.New(postgres.Config{DriverName: "azurepg", DSN: dsn}), &gorm.Config{})
	return db, err
}

func bunAfter(dsn string) (*bun.DB, error) {
	sqldb, err := sql.Open("azurepg", dsn)
	if err != nil {
		return nil, err
	}
	db := bun.NewDB(sqldb, pgdialect.New())
	return db, nil
}

// hookAfter keeps what the program sets on its pool.
func hookAfter(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	config, err := connector.PoolConfig()
	if err != nil {
		return nil, err
	}
	config.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return pool, err
}

// setPool bounds the pool of a service.
func setPool(db *sql.DB) {
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	db.SetConnMaxLifetime(30 * time.Minute)
	db.SetConnMaxIdleTime(5 * time.Minute)
}
