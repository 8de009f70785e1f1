package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const rows = 1000

// use is any program with a pool: it knows nothing of tokens.
func use(ctx context.Context, pool *pgxpool.Pool) (heard string, sum int, err error) {
	if _, err := pool.Exec(ctx, "create table azurepg_pgxpool (n int primary key)"); err != nil {
		return "", 0, err
	}
	defer func() {
		_, dropErr := pool.Exec(ctx, "drop table azurepg_pgxpool")
		err = errors.Join(err, dropErr)
	}()
	numbers := pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return []any{i + 1}, nil })
	if _, err := pool.CopyFrom(ctx, pgx.Identifier{"azurepg_pgxpool"}, []string{"n"}, numbers); err != nil {
		return "", 0, err
	}
	batch := &pgx.Batch{} // one round trip
	batch.Queue("update azurepg_pgxpool set n = -n where n > $1", rows/2)
	batch.Queue("select sum(abs(n)) from azurepg_pgxpool").QueryRow(func(row pgx.Row) error { return row.Scan(&sum) })
	if err := pool.SendBatch(ctx, batch).Close(); err != nil {
		return "", 0, err
	}
	heard, err = listen(ctx, pool)
	return heard, sum, err
}

// listen waits on a connection of its own for what another one sends.
func listen(ctx context.Context, pool *pgxpool.Pool) (string, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "listen azurepg_pgxpool"); err != nil {
		return "", err
	}
	if _, err := pool.Exec(ctx, "select pg_notify('azurepg_pgxpool', 'copied')"); err != nil {
		return "", err
	}
	note, err := conn.Conn().WaitForNotification(ctx)
	if err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "unlisten *") // the connection goes back to the pool
	return note.Payload, err
}
