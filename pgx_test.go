package azurepg_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/azurepg/azurepg"
)

// raw runs f on the pgx connection of one connection of db.
func raw(t *testing.T, db *sql.DB, f func(*pgx.Conn) error) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(c any) error {
		own, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the connection is a %T; want *stdlib.Conn", c)
		}
		return f(own.Conn())
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConnIsNotWrapped(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	db := open(t, bySecret(s, s.AddServicePrincipal("raw-app")))
	if _, err := db.Exec(`create table raw_numbers (n int primary key, tags text[])`); err != nil {
		t.Fatal(err)
	}
	raw(t, db, func(c *pgx.Conn) error { return useEverything(t.Context(), c) })

	t.Run("arrays", func(t *testing.T) {
		var tags []string
		raw(t, db, func(c *pgx.Conn) error {
			return c.QueryRow(t.Context(), `select tags from raw_numbers where n = 2`).Scan(&tags)
		})
		if len(tags) != 2 || tags[1] != "two" {
			t.Errorf("tags = %q; want [even two]", tags)
		}
		var n int
		if err := db.QueryRow(`select count(*) from raw_numbers where n = any($1)`, []int{1, 2, 3}).Scan(&n); err != nil || n != 3 {
			t.Errorf("got %d, %v; want 3", n, err)
		}
	})
	t.Run("errors of queries are bare", func(t *testing.T) {
		_, err := db.Exec(`insert into raw_numbers values (1)`)
		if pe, ok := err.(*pgconn.PgError); !ok || pe.Code != "23505" {
			t.Errorf("got %T %v; want a bare *pgconn.PgError 23505", err, err)
		}
	})
}

// useEverything uses COPY, a batch and LISTEN on table raw_numbers.
func useEverything(ctx context.Context, c *pgx.Conn) error {
	rows := [][]any{{1, []string{"odd"}}, {2, []string{"even", "two"}}, {3, nil}}
	n, err := c.CopyFrom(ctx, pgx.Identifier{"raw_numbers"}, []string{"n", "tags"}, pgx.CopyFromRows(rows))
	if err != nil || n != 3 {
		return fmt.Errorf("CopyFrom = %d, %w", n, err)
	}
	batch := &pgx.Batch{}
	batch.Queue(`select 1`)
	batch.Queue(`select 2`)
	if err := c.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if _, err := c.Exec(ctx, `listen raw_channel`); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, `notify raw_channel, 'hello'`); err != nil {
		return err
	}
	note, err := c.WaitForNotification(ctx)
	if err != nil || note.Payload != "hello" {
		return fmt.Errorf("notification %+v, %w", note, err)
	}
	return nil
}

func TestQueryIsCancelledOverTLS(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	db := open(t, bySecret(s, s.AddServicePrincipal("cancel-app")))
	raw(t, db, func(c *pgx.Conn) error {
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.WithoutCancel(t.Context()), `select pg_sleep(60)`)
			done <- err
		}()
		for {
			if err := c.PgConn().CancelRequest(t.Context()); err != nil {
				return err
			}
			select {
			case err := <-done:
				var pe *pgconn.PgError
				if !errors.As(err, &pe) || pe.Code != "57014" {
					return fmt.Errorf("got %w; want query_canceled 57014", err)
				}
				return nil
			case <-time.After(50 * time.Millisecond): // the query may not have begun
			}
		}
	})
}

func TestHostileEnvironmentChangesNothing(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("hostile-app")
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".pgpass"), []byte("*:*:*:*:HUNTER2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, ".postgresql"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root.crt", "postgresql.crt", "postgresql.key"} {
		if err := os.WriteFile(filepath.Join(home, ".postgresql", name), []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	explicit, err := azurepg.ParseDSN(bySecret(s, app))
	if err != nil {
		t.Fatal(err)
	}
	setenv(t, "HOME="+home, "PGPASSWORD=HUNTER2", "PGPASSFILE=/nonexistent", "PGSERVICE=nonexistent", "PGSERVICEFILE=/nonexistent",
		"PGSSLMODE=disable", "PGSSLROOTCERT=/nonexistent", "PGSSLCERT=/nonexistent", "PGSSLKEY=/nonexistent", "PGSSLNEGOTIATION=bogus",
		"PGHOST=/tmp", "PGPORT=bogus", "PGUSER=nobody", "PGDATABASE=nothing", "PGCONNECT_TIMEOUT=bogus", "PGTARGETSESSIONATTRS=bogus",
		"PGCHANNELBINDING=require", "PGREQUIREAUTH=md5", "PGMINPROTOCOLVERSION=bogus", "PGMAXPROTOCOLVERSION=bogus", "PGSSLCERTMODE=bogus",
		"PGTZ=bogus", "PGOPTIONS=-c bogus=1", "PGAPPNAME=bogus", "PGSSLSNI=0", "PGSSLPASSWORD=x")
	for _, b := range bases { // a Config says it all
		explicit.Base = b.base
		c, err := azurepg.NewConnector(explicit)
		if err != nil {
			t.Fatal(err)
		}
		wantUser(t, openConnector(t, c), app.Name)
		if _, err := c.PoolConfig(); err != nil && b.base == nil {
			t.Error(err)
		}
	}
}

func TestPoolKeysAreRefusedBySQLOpen(t *testing.T) {
	_, err := sql.Open(azurepg.DriverName, "host=db.example.com pool_max_conns=3")
	var de *azurepg.DSNError
	if !errors.As(err, &de) || de.Key != "pool_max_conns" || !strings.Contains(err.Error(), "SetMaxOpenConns") {
		t.Errorf("got %v; want a DSNError that names SetMaxOpenConns", err)
	}
}
