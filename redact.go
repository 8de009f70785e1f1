package azurepg

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/azurepg/azurepg/internal/foreign"
)

// Secret is a text that must not be printed: fmt, log/slog, encoding/json and panic
// show it as "[redacted]". string(s) is the text itself.
//
// fmt does not ask the methods of unexported fields, so a struct that keeps a
// secret in one keeps it behind a pointer.
type Secret string

const redacted = "[redacted]"

// Format writes "[redacted]" for every verb; an empty Secret prints as nothing.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.mask())) }

// String returns "[redacted]", or an empty string for an empty Secret: for panic, and for
// loggers that ask a fmt.Stringer by themselves.
func (s Secret) String() string { return s.mask() }

// LogValue returns "[redacted]", or an empty string for an empty Secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.mask()) }

// MarshalText returns "[redacted]", or nothing for an empty Secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.mask()), nil }

func (s Secret) mask() string {
	if s == "" {
		return ""
	}
	return redacted
}

// foreignLimit is how many bytes of a foreign text are printed.
const foreignLimit = 200

// quoteForeign makes a text that is not ours (of a server, a tool, a token)
// fit to stand in an error: redacted, cut, and quoted so that it can neither break
// the line nor forge another.
func quoteForeign(s string) string { return strconv.Quote(cutForeign(s)) }

// cutForeign is for a log attribute, which the handler quotes: redacted and cut.
func cutForeign(s string) string {
	return foreign.Cut(Redact(strings.TrimSpace(s)), foreignLimit)
}

// printable is for a place that has quotes of its own, such as SQL: redacted, cut,
// and on one line.
func printable(s string) string { return foreign.Printable(cutForeign(s), '?') }

// logText is err's text for a log line that names azurepg and the credential by
// itself.
func logText(err error) string {
	var te *TokenError
	if errors.As(err, &te) {
		return te.what()
	}
	return strings.TrimPrefix(err.Error(), "azurepg: ")
}
