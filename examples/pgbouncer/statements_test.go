package main

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/pq"
)

// doors are the ways to run queries. The names are those of docs/pgbouncer.md.
var doors = map[string]struct {
	keys string
	base azurepg.Base
}{
	"pgx, `cache_statement` (default)": {"", nil},
	"pgx, `cache_describe`":            {"default_query_exec_mode=cache_describe", nil},
	"pgx, `describe_exec`":             {"default_query_exec_mode=describe_exec", nil},
	"pgx, `exec`":                      {"default_query_exec_mode=exec", nil},
	"pgx, `simple_protocol`":           {"default_query_exec_mode=simple_protocol", nil},
	"lib/pq (default)":                 {"", pq.Base},
	"lib/pq, `binary_parameters=yes`":  {"binary_parameters=yes", pq.Base},
}

// uses are what is done with them, under the headings of the table.
var uses = map[string]func(*sql.DB) error{
	"query": func(db *sql.DB) error {
		var n int
		return db.QueryRow("select $1::int + 1", 1).Scan(&n)
	},
	"without arguments": func(db *sql.DB) error {
		var n int
		return db.QueryRow("select 41 + 1").Scan(&n)
	},
	"in transactions": func(db *sql.DB) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		var n int
		for range 2 {
			if err := tx.QueryRow("select $1::int + 2", 1).Scan(&n); err != nil {
				return err
			}
		}
		return tx.Commit()
	},
	"`db.Prepare`": func(db *sql.DB) error {
		statement, err := db.Prepare("select $1::int + 3")
		if err != nil {
			return err
		}
		defer statement.Close()
		var n int
		for range 3 {
			if err := statement.QueryRow(1).Scan(&n); err != nil {
				return err
			}
		}
		return nil
	},
	"`tx.Prepare`": func(db *sql.DB) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		statement, err := tx.Prepare("select $1::int + 4")
		if err != nil {
			return err
		}
		defer statement.Close()
		var n int
		if err := statement.QueryRow(1).Scan(&n); err != nil {
			return err
		}
		return errors.Join(statement.Close(), tx.Commit())
	},
}

// Two clients repeat each use; both meet both backends. What fails does so because a
// statement is not where it was prepared, or because another is.
func TestStatementsWorkAsTheTablesSay(t *testing.T) {
	t.Parallel()
	t.Run("max_prepared_statements = 0", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, "unprepared")
		compareStatements(t, c, table(t, "### `max_prepared_statements` = 0"))
	})
	t.Run("max_prepared_statements above 0", func(t *testing.T) {
		t.Parallel()
		// PgBouncer before 1.21 has no such setting: what its users see is the first table.
		heading := "### `max_prepared_statements` above 0"
		if !isAtLeast(21) {
			heading = "### `max_prepared_statements` = 0"
		}
		c := newClient(t, "prepared", preparedStatements(100)...)
		compareStatements(t, c, table(t, heading))
	})
}

func compareStatements(t *testing.T, c *client, table map[string]map[string]string) {
	if len(table) != len(doors) {
		t.Errorf("the table has %d rows; want %d", len(table), len(doors))
	}
	c.warm(t)
	for name, door := range doors {
		for use, do := range uses {
			first, second := c.open(t, door.keys, door.base), c.open(t, door.keys, door.base)
			err := repeat(do, first, second)
			got := "works"
			if err != nil {
				got = "fails"
				if code := sqlState(err); !slices.Contains([]string{"26000", "42P05", "08P01"}, code) {
					t.Errorf("%s, %s: %v; want nothing but missing, wrong and double statements", name, use, err)
				}
			}
			if want := table[name][use]; got != want {
				t.Errorf("%s, %s: %s (%v); the table says %q", name, use, got, err, want)
			}
			first.Close()
			second.Close()
		}
	}
}

func repeat(do func(*sql.DB) error, clients ...*sql.DB) error {
	for _, db := range clients {
		for range 4 {
			if err := do(db); err != nil {
				return err
			}
		}
	}
	return nil
}

func sqlState(err error) string {
	var server interface{ SQLState() string }
	if errors.As(err, &server) {
		return server.SQLState()
	}
	return ""
}

// arguments are values for columns, under the names of the table.
var arguments = map[string]struct {
	column string
	value  any
}{
	"`[]string` for text[]":     {"tags text[]", []string{"a", `b"c`}},
	"`time.Time`":               {"at timestamptz", time.Now()},
	"`[]byte` for bytea":        {"raw bytea", []byte{0, 255}},
	"`string` for jsonb":        {"doc jsonb", `{"a": 1}`},
	"`[]byte` for jsonb":        {"doc jsonb", []byte(`{"a": 1}`)},
	"a map or struct for jsonb": {"doc jsonb", map[string]string{"a": "b"}},
}

// The ways that need no statement of an earlier round trip differ in what they know of a
// column.
func TestArgumentsWorkAsTheTableSays(t *testing.T) {
	t.Parallel()
	c := newClient(t, "arguments")
	rows := table(t, "### Arguments")
	if len(rows) != len(arguments) {
		t.Errorf("the table has %d rows; want %d", len(rows), len(arguments))
	}
	db := c.open(t, "default_query_exec_mode=simple_protocol", nil)
	if _, err := db.Exec("create table columns (tags text[], at timestamptz, raw bytea, doc jsonb)"); err != nil {
		t.Fatal(err)
	}
	for heading, door := range map[string]string{"`cache_describe`": "pgx, `cache_describe`", "`exec`": "pgx, `exec`",
		"`simple_protocol`": "pgx, `simple_protocol`", "lib/pq, `binary_parameters=yes`": "lib/pq, `binary_parameters=yes`"} {
		db := c.open(t, doors[door].keys, doors[door].base)
		for name, argument := range arguments {
			column, _, _ := strings.Cut(argument.column, " ")
			_, err := db.Exec("insert into columns ("+column+") values ($1)", argument.value)
			got := map[bool]string{true: "works", false: "fails"}[err == nil]
			if want := rows[name][heading]; got != want {
				t.Errorf("%s, %s: %s (%v); the table says %q", name, heading, got, err, want)
			}
		}
	}
}
