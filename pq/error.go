package pq

import (
	"errors"
	"strings"

	"github.com/lib/pq"

	"github.com/azurepg/azurepg/internal/foreign"
)

// connectError is why no host would do. *pq.Error is reachable through it.
type connectError struct {
	hosts []host
	errs  []error // of hosts
	sent  bool    // the last one has been sent the token
}

func (e *connectError) add(h host, sent bool, err error) {
	e.hosts, e.errs, e.sent = append(e.hosts, h), append(e.errs, err), sent
}

// final reports whether the last error is one after which no other host is
// asked: a refused login, a database that is missing or closed to the role.
func (e *connectError) final() bool {
	var server *pq.Error
	if !errors.As(e.errs[len(e.errs)-1], &server) {
		return false
	}
	const protocolViolation, invalidCatalogName, insufficientPrivilege = "08P01", "3D000", "42501"
	switch code := server.SQLState(); code {
	case invalidCatalogName, insufficientPrivilege:
		return true
	case protocolViolation: // PgBouncer refuses a login with it, and says it of other things too
		return strings.Contains(server.Message, "password authentication failed")
	default:
		return strings.HasPrefix(code, "28")
	}
}

// Error is one line. What a server said in it is foreign: it is cut, and cannot
// move the cursor.
func (e *connectError) Error() string {
	var b strings.Builder
	b.WriteString("azurepg: failed to connect to ")
	for i, h := range e.hosts {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(h.address + ": " + strings.TrimPrefix(e.errs[i].Error(), "azurepg: "))
	}
	return foreign.Cut(foreign.Printable(b.String(), '?'), 1000)
}

func (e *connectError) Unwrap() []error    { return e.errs }
func (e *connectError) PasswordSent() bool { return e.sent }
