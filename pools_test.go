package azurepg_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/azurepg/azurepg"
)

// A pool is what an application has of connections.
type pool struct {
	name  string
	exec  func(ctx context.Context, sql string, args ...any) error
	ask   func(ctx context.Context, sql string) (string, error) // the one value that sql returns
	close func()
}

// pools are a *sql.DB over each base and a pgxpool, that log in as cfg says.
func pools(t *testing.T, cfg *azurepg.Config) []pool {
	t.Helper()
	var all []pool
	for _, b := range bases {
		cfg := cfg.Clone()
		cfg.Base = b.base
		c, err := azurepg.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		db := openConnector(t, c)
		all = append(all, pool{b.door, func(ctx context.Context, query string, args ...any) error {
			_, err := db.ExecContext(ctx, query, args...)
			return err
		}, func(ctx context.Context, query string) (s string, err error) {
			err = db.QueryRowContext(ctx, query).Scan(&s)
			return s, err
		}, func() { closePool(t, db) }})
	}
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := openPool(t, c)
	return append(all, pool{"pgxpool", func(ctx context.Context, query string, args ...any) error {
		_, err := p.Exec(ctx, query, args...)
		return err
	}, func(ctx context.Context, query string) (s string, err error) {
		err = p.QueryRow(ctx, query).Scan(&s)
		return s, err
	}, p.Close})
}

func closePool(t *testing.T, db *sql.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
