package hostlist

import (
	"errors"
	"strings"

	"github.com/azurepg/azurepg/internal/foreign"
)

// Failed is why no host would do. The errors of all are reachable through it.
type Failed struct {
	addresses []string
	errs      []error // of addresses
	sent      bool    // the last one has been sent the token
}

func (f *Failed) add(address string, sent bool, err error) {
	f.addresses, f.errs, f.sent = append(f.addresses, address), append(f.errs, err), sent
}

// final reports whether the last error is one after which no other host is asked: a
// refused login, a database that is missing or closed to the role, and whatever says so
// itself.
func (f *Failed) final() bool {
	if len(f.errs) == 0 {
		return false
	}
	last := f.errs[len(f.errs)-1]
	var server interface {
		error
		SQLState() string
	}
	if !errors.As(last, &server) {
		var own interface{ NoOtherHost() bool }
		return errors.As(last, &own) && own.NoOtherHost()
	}
	const invalidCatalogName, insufficientPrivilege = "3D000", "42501"
	code := server.SQLState()
	return IsRefusal(code, server.Error()) || code == invalidCatalogName || code == insufficientPrivilege
}

// IsRefusal reports whether a server's error, with its code, is a verdict on the token or
// the role. PgBouncer says so with a code that it also has for packets it cannot read, a
// token that is too long for it among them.
func IsRefusal(code, words string) bool {
	const invalidAuthorization, protocolViolation = "28", "08P01"
	return strings.HasPrefix(code, invalidAuthorization) ||
		code == protocolViolation && strings.Contains(words, "password authentication failed")
}

// Error is one line: each host and its error. What a server said in it is foreign: it is
// cut, and cannot move the cursor.
func (f *Failed) Error() string {
	said := make([]string, len(f.errs))
	for i, err := range f.errs {
		said[i] = f.addresses[i] + ": " + strings.TrimPrefix(err.Error(), "azurepg: ")
	}
	return foreign.Cut(foreign.Printable(strings.Join(said, "; "), '?'), 1000)
}

// Unwrap returns the errors of the hosts, in the order in which they were asked.
func (f *Failed) Unwrap() []error { return f.errs }

// PasswordSent reports whether the last host has been sent the token; azurepg asks.
func (f *Failed) PasswordSent() bool { return f.sent }
