package pq

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

const (
	anySession    = "any"
	preferStandby = "prefer-standby"
)

// errOtherSession says that a host let us in, but is not the one that
// target_session_attrs wants.
var errOtherSession = errors.New("target_session_attrs wants another")

const (
	askReadOnly = "show transaction_read_only"
	askStandby  = "select pg_catalog.pg_is_in_recovery()::text"
)

// sessions are the values of target_session_attrs: what to ask, and the answer.
// Source: PostgreSQL documentation, 34.1.2 Parameter Key Words, read 2026-11.
var sessions = map[string]struct{ ask, want, not string }{
	"read-write":  {askReadOnly, "off", "the session is read-only"},
	"read-only":   {askReadOnly, "on", "the session is not read-only"},
	"primary":     {askStandby, "false", "the server is a standby"},
	"standby":     {askStandby, "true", "the server is not a standby"},
	preferStandby: {askStandby, "true", "the server is not a standby"},
}

// checkSession returns errOtherSession if the session of conn is not as wanted.
func checkSession(conn driver.Conn, wanted string) error {
	s, ok := sessions[wanted]
	if !ok {
		return nil
	}
	answer, err := ask(conn, s.ask)
	if err != nil {
		return err
	}
	if answer != s.want {
		return fmt.Errorf("%s, %w", s.not, errOtherSession)
	}
	return nil
}

// ask returns the one value that query returns.
func ask(conn driver.Conn, query string) (answer string, err error) {
	q, ok := conn.(driver.QueryerContext)
	if !ok {
		return "", fmt.Errorf("%T cannot query", conn)
	}
	rows, err := q.QueryContext(context.Background(), query, nil) // ended by the deadline
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s", row[0]), nil
}
