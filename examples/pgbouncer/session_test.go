package main

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/azurepg/azurepg"
)

// features are what a session may be used for, under the names of the table. Each has a
// session of its own, whose statements take turns at two backends, and says what became
// of it: works, fails or leaks, which is to stay behind for whoever comes next.
var features = map[string]func(*testing.T, *client, *sql.Conn) string{
	"`SET`":                              sessionSet,
	"`SET LOCAL`, in a transaction":      localSet,
	"`ALTER ROLE … IN DATABASE … SET`":   roleSet,
	"`LISTEN`":                           listen,
	"`NOTIFY`":                           notify,
	"`pg_advisory_lock`":                 sessionLock,
	"`pg_advisory_xact_lock`":            transactionLock,
	"temporary table":                    temporaryTable,
	"temporary table `ON COMMIT DROP`":   transactionTable,
	"cursor `WITH HOLD`":                 heldCursor,
	"COPY, through pgx's CopyFrom":       copyFrom,
	"pgx's batches":                      batch,
	"a context that ends during a query": cancelled,
}

func TestSessionsWorkAsTheTableSays(t *testing.T) {
	t.Parallel()
	c := newClient(t, "sessions")
	c.warm(t)
	rows := table(t, "## What a session remembers")
	if len(rows) != len(features) {
		t.Errorf("the table has %d rows; want %d", len(rows), len(features))
	}
	for name, use := range features {
		if got, want := use(t, c, c.session(t)), rows[name]["there"]; got != want {
			t.Errorf("%s: %s; the table says %q", name, got, want)
		}
	}
}

func sessionSet(t *testing.T, c *client, db *sql.Conn) string {
	must(t, db, "set statement_timeout = '47s'")
	mine := text(t, db, "show statement_timeout")
	next := text(t, db, "show statement_timeout") // as anybody else on that backend would see
	must(t, db, "select")
	must(t, db, "reset statement_timeout")
	return word(mine == "47s", next == "47s")
}

func localSet(t *testing.T, c *client, db *sql.Conn) string {
	tx := begin(t, db)
	must(t, tx, "set local statement_timeout = '48s'")
	mine := text(t, tx, "show statement_timeout")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	others := []string{text(t, db, "show statement_timeout"), text(t, db, "show statement_timeout")}
	return word(mine == "48s", others[0] == "48s" || others[1] == "48s")
}

// roleSet needs a role that has no connections yet.
func roleSet(t *testing.T, _ *client, _ *sql.Conn) string {
	c := newClient(t, "defaults")
	if err := azure.Postgres.Exec(t.Context(), `alter role defaults in database `+c.database+` set statement_timeout = '49s'`); err != nil {
		t.Fatal(err)
	}
	c.warm(t)
	db := c.session(t)
	first, second := text(t, db, "show statement_timeout"), text(t, db, "show statement_timeout")
	return word(first == "49s" && second == "49s", false)
}

func listen(t *testing.T, c *client, db *sql.Conn) string {
	must(t, db, "listen news")
	heard := make(chan bool, 1)
	raw(t, db, func(conn *pgx.Conn) error {
		must(t, c.session(t), "notify news, 'here'")
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := conn.WaitForNotification(ctx)
		heard <- err == nil
		return nil
	})
	left := text(t, db, "select count(*) from pg_listening_channels()") + text(t, db, "select count(*) from pg_listening_channels()")
	for range 2 {
		must(t, db, "unlisten *")
	}
	return word(<-heard, left == "10" || left == "01")
}

func notify(t *testing.T, c *client, db *sql.Conn) string {
	direct, err := sql.Open(azurepg.DriverName, c.direct)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	listener, err := direct.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := ""
	raw(t, listener, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(t.Context(), "listen news"); err != nil {
			return err
		}
		must(t, db, "notify news, 'there'")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		n, err := conn.WaitForNotification(ctx)
		if err == nil {
			got = n.Payload
		}
		return err
	})
	return word(got == "there", false)
}

func sessionLock(t *testing.T, c *client, db *sql.Conn) string {
	must(t, db, "select pg_advisory_lock(1)")
	unlocked := text(t, db, "select pg_advisory_unlock(1)")
	later := text(t, db, "select pg_advisory_unlock(1)") // by anybody else on that backend
	return word(unlocked == "true", later == "true")
}

func transactionLock(t *testing.T, c *client, db *sql.Conn) string {
	tx := begin(t, db)
	must(t, tx, "select pg_advisory_xact_lock(2)")
	other := c.session(t)
	free := text(t, other, "select pg_try_advisory_xact_lock(2)")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return word(free == "false" && text(t, other, "select pg_try_advisory_xact_lock(2)") == "true", false)
}

func temporaryTable(t *testing.T, c *client, db *sql.Conn) string {
	must(t, db, "create temporary table scratch (id int)")
	_, err := db.ExecContext(t.Context(), "insert into scratch values (1)")
	_, next := db.ExecContext(t.Context(), "drop table scratch")
	return word(err == nil, next == nil)
}

func transactionTable(t *testing.T, c *client, db *sql.Conn) string {
	tx := begin(t, db)
	must(t, tx, "create temporary table scratch (id int) on commit drop")
	must(t, tx, "insert into scratch values (1)")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	must(t, db, "select")
	_, err := db.ExecContext(t.Context(), "drop table scratch")
	return word(true, err == nil)
}

func heldCursor(t *testing.T, c *client, db *sql.Conn) string {
	tx := begin(t, db)
	must(t, tx, "declare held cursor with hold for select 1")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	_, err := db.ExecContext(t.Context(), "fetch held")
	_, next := db.ExecContext(t.Context(), "close held")
	return word(err == nil, next == nil)
}

// copyFrom has a client of its own: after it PgBouncer 1.26 was seen to keep the connection
// for the client that it was for.
func copyFrom(t *testing.T, _ *client, _ *sql.Conn) string {
	db := newClient(t, "copying").session(t)
	must(t, db, "create table if not exists copied (id int, name text)")
	var first, second int64
	raw(t, db, func(conn *pgx.Conn) (err error) {
		rows := [][]any{{1, "a"}, {2, "b"}}
		if first, err = conn.CopyFrom(t.Context(), pgx.Identifier{"copied"}, []string{"id", "name"}, pgx.CopyFromRows(rows)); err == nil {
			second, err = conn.CopyFrom(t.Context(), pgx.Identifier{"copied"}, []string{"id", "name"}, pgx.CopyFromRows(rows))
		}
		return err
	})
	return word(first+second == 4 && text(t, db, "select count(*) from copied") == "4", false)
}

func batch(t *testing.T, c *client, db *sql.Conn) string {
	sum := 0
	raw(t, db, func(conn *pgx.Conn) error {
		for range 2 {
			b := new(pgx.Batch)
			for n := range 3 {
				b.Queue("select $1::int", n).QueryRow(func(row pgx.Row) error {
					var got int
					err := row.Scan(&got)
					sum += got
					return err
				})
			}
			if err := conn.SendBatch(t.Context(), b).Close(); err != nil {
				return err
			}
		}
		return nil
	})
	return word(sum == 6, false)
}

// cancelled looks for the query at the server, where it would go on for a minute. It has a
// client of its own, since PgBouncer may close the connection of a client that left.
func cancelled(t *testing.T, _ *client, _ *sql.Conn) string {
	c := newClient(t, "cancelled")
	db, other := c.session(t), c.session(t)
	const running = "select count(*) from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'"
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(ctx, "select pg_sleep(60)")
		done <- err
	}()
	if !becomes(t, other, running, "1") {
		t.Error("the query does not start")
	}
	cancel()
	err := <-done
	return word(errors.Is(err, context.Canceled) && becomes(t, other, running, "0"), false)
}

// becomes asks until the answer is as wanted, for half a minute.
func becomes(t *testing.T, db querier, query, want string) bool {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if text(t, db, query) == want {
			return true
		}
	}
	return false
}

// session returns one connection to PgBouncer. A pool would ping it now and then, which
// is a turn too.
func (c *client) session(t *testing.T) *sql.Conn {
	t.Helper()
	conn, err := c.open(t, "default_query_exec_mode=exec", nil).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func word(works, leaks bool) string {
	switch {
	case leaks:
		return "leaks"
	case works:
		return "works"
	}
	return "fails"
}

type querier interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

func must(t *testing.T, db querier, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, db querier, query string) (value string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func begin(t *testing.T, db *sql.Conn) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback() })
	return tx
}

func raw(t *testing.T, conn *sql.Conn, f func(*pgx.Conn) error) {
	t.Helper()
	if err := conn.Raw(func(c any) error { return f(c.(*stdlib.Conn).Conn()) }); err != nil {
		t.Error(err)
	}
}
