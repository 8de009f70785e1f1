package proxy

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// connectError is why no host would do.
type connectError struct {
	hosts []string
	errs  []error // of hosts
	sent  bool    // the last one has been sent the token
}

func (e *connectError) add(host string, sent bool, err error) {
	e.hosts, e.errs, e.sent = append(e.hosts, host), append(e.errs, err), sent
}

// final reports whether the last error is one after which no other host is asked: a
// refused login, a database that is missing or closed to the role, and what is wrong
// with the client's own packet.
func (e *connectError) final() bool {
	last := e.errs[len(e.errs)-1]
	var server *serverError
	if !errors.As(last, &server) {
		return errors.As(last, new(*reply))
	}
	const invalidCatalogName, insufficientPrivilege = "3D000", "42501"
	code := server.SQLState()
	return strings.HasPrefix(code, "28") || code == invalidCatalogName || code == insufficientPrivilege
}

// Error is one line. What a server said in it is foreign: it is cut, and cannot move
// the cursor.
func (e *connectError) Error() string {
	var b strings.Builder
	b.WriteString("no connection to ")
	for i, host := range e.hosts {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(host + ": " + strings.TrimPrefix(e.errs[i].Error(), "azurepg: "))
	}
	text := strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, b.String())
	const limit = 1000
	n := min(len(text), limit)
	for n < len(text) && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

func (e *connectError) Unwrap() []error    { return e.errs }
func (e *connectError) PasswordSent() bool { return e.sent }
