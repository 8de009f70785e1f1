package main

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
)

// ways are the ways to a pool, the shortest first.
var ways = []struct {
	name string
	open func(ctx context.Context, dsn string) (*pgxpool.Pool, error)
}{
	{"NewPool", azurepg.NewPool},
	{"PoolConfig", openConfigured},
	{"BeforeConnect", openOwn},
}

// openConfigured starts from azurepg's configuration: pool_* keys stand in the
// DSN, and the rest is set by code. It is the way to have a logger.
func openConfigured(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	connector, _, err := newConnector(dsn)
	if err != nil {
		return nil, err
	}
	config, err := connector.PoolConfig()
	if err != nil {
		return nil, err
	}
	config.AfterConnect = nameSession
	return pgxpool.NewWithConfig(ctx, config)
}

// openOwn starts from a configuration that the program has already, and which says
// everything but how to log in: database and pool are its own.
func openOwn(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	connector, cfg, err := newConnector(dsn)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig("pool_max_conns=3 pool_max_conn_lifetime=30m")
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Database = cfg.Database
	config.AfterConnect = nameSession
	config.BeforeConnect = connector.BeforeConnect
	return pgxpool.NewWithConfig(ctx, config)
}

func newConnector(dsn string) (*azurepg.Connector, *azurepg.Config, error) {
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		return nil, nil, err
	}
	cfg.Logger = slog.Default() // a refused login is pgx's own error here: the advice is in the log
	connector, err := azurepg.NewConnector(cfg)
	return connector, cfg, err
}

// nameSession is a hook as programs have it.
func nameSession(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "set application_name = 'azurepg pgxpool'")
	return err
}
