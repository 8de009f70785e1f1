package proxy

import (
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
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

// checkSession returns errOtherSession if the session on conn is not as wanted.
func checkSession(conn io.ReadWriter, wanted string) error {
	s, ok := sessions[wanted]
	if !ok {
		return nil
	}
	got, err := ask(conn, s.ask)
	if err != nil {
		return err
	}
	if got != s.want {
		return fmt.Errorf("%s, %w", s.not, errOtherSession)
	}
	return nil
}

// ask returns the one value that query returns.
func ask(conn io.ReadWriter, query string) (value string, err error) {
	packet, err := (&pgproto3.Query{String: query}).Encode(nil)
	if err != nil {
		return "", err
	}
	if _, err := conn.Write(packet); err != nil {
		return "", err
	}
	for {
		message, err := readMessage(conn, maxWelcome)
		if err != nil {
			return "", err
		}
		switch body := message[5:]; message[0] {
		case msgError:
			return "", newServerError(body, "")
		case msgDataRow:
			var row pgproto3.DataRow
			if err := row.Decode(body); err != nil || len(row.Values) != 1 {
				return "", errNoMessage
			}
			value = string(row.Values[0])
		case msgReadyForQuery:
			return value, nil
		}
	}
}
