package main

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/pq"
)

// A pool is what an application has of connections, whatever is underneath.
type pool struct {
	name      string
	connector *azurepg.Connector
	exec      func(ctx context.Context, sql string, args ...any) error
	close     func()
}

// Connections are few, so that workers wait for them, and of short life, so that there
// are many logins.
const (
	connsOfAPool = 8
	lifeOfAConn  = 500 * time.Millisecond
)

// openPools opens a pool of each kind for one identity, whose token they share.
func openPools(ctx context.Context, dsn string) ([]*pool, error) {
	pgx, err := openDB("pgx", dsn, nil)
	if err != nil {
		return nil, err
	}
	libpq, err := openDB("lib/pq", dsn, pq.Base)
	if err != nil {
		return nil, err
	}
	pgxpool, err := openPgxpool(ctx, dsn)
	return []*pool{pgx, libpq, pgxpool}, err
}

func newConnector(dsn string, base azurepg.Base) (*azurepg.Connector, error) {
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	cfg.Base = base
	// A crash of the server loses no row that it has acknowledged.
	cfg.RuntimeParams = map[string]string{"synchronous_commit": "on"}
	return azurepg.NewConnector(cfg)
}

func openDB(name, dsn string, base azurepg.Base) (*pool, error) {
	c, err := newConnector(dsn, base)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(connsOfAPool)
	db.SetMaxIdleConns(connsOfAPool)
	db.SetConnMaxLifetime(lifeOfAConn)
	return &pool{name, c, func(ctx context.Context, query string, args ...any) error {
		_, err := db.ExecContext(ctx, query, args...)
		return err
	}, func() { _ = db.Close() }}, nil
}

func openPgxpool(ctx context.Context, dsn string) (*pool, error) {
	c, err := newConnector(dsn, nil)
	if err != nil {
		return nil, err
	}
	config, err := c.PoolConfig()
	if err != nil {
		return nil, err
	}
	config.MaxConns = connsOfAPool
	config.MaxConnLifetime = lifeOfAConn
	config.HealthCheckPeriod = lifeOfAConn
	p, err := pgxpool.NewWithConfig(ctx, config)
	return &pool{"pgxpool", c, func(ctx context.Context, query string, args ...any) error {
		_, err := p.Exec(ctx, query, args...)
		return err
	}, func() { p.Close() }}, err
}
