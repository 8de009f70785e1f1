package hostlist

import (
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

// CheckSession returns an error if the session is not as wanted. Ask returns the one
// value that a query returns; it is not called where nothing is wanted.
func CheckSession(wanted string, ask func(query string) (string, error)) error {
	s, ok := sessions[wanted]
	if !ok {
		return nil
	}
	answer, err := ask(s.ask)
	if err != nil {
		return err
	}
	if answer != s.want {
		return fmt.Errorf("%s, %w", s.not, errOtherSession)
	}
	return nil
}

// AuthName names the kinds of authentication but that by a cleartext password.
// Source: PostgreSQL documentation, 55.7 Message Formats, read 2026-11.
func AuthName(code uint32) string {
	switch code {
	case 5:
		return "an MD5 hash"
	case 7, 8, 9:
		return "GSSAPI or SSPI"
	case 10, 11, 12:
		return "SASL (SCRAM-SHA-256 or OAuth)"
	}
	return fmt.Sprintf("authentication of kind %d", code)
}
