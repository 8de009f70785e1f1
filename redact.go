package azurepg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Secret is a text that must not be printed: fmt, log/slog and encoding/json
// show it as "[redacted]". string(s) is the text itself.
//
// fmt does not ask the methods of unexported fields, so a struct that keeps a
// secret in one keeps it behind a pointer.
type Secret string

const redacted = "[redacted]"

// Format writes "[redacted]" for every verb; an empty Secret prints as nothing.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.mask())) }

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
	s = Redact(strings.TrimSpace(s))
	if len(s) > foreignLimit {
		cut := foreignLimit
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}

// logText is err's text for a log line that names azurepg and the credential by
// itself.
func logText(err error) string {
	var te *TokenError
	if errors.As(err, &te) {
		return te.what()
	}
	return strings.TrimPrefix(err.Error(), "azurepg: ")
}

// A mask finds one shape of secret: what its pattern finds between its two
// groups, which stay.
type mask struct {
	may     func(string) bool // a quick look, without which a clean line would pay for the pattern
	pattern *regexp.Regexp
}

var masks = []mask{
	// A JWT, whole or cut off: it begins with the base64url of `{"`.
	{func(s string) bool { return strings.Contains(s, "eyJ") },
		regexp.MustCompile(`()eyJ[A-Za-z0-9_-]{5,}(?:(?:\.|%2[eE])[A-Za-z0-9_-]*)*()`)},
	// The password in the authority of a URL, which reaches to the last @. It can
	// hold anything but white space.
	{func(s string) bool { return strings.Contains(s, "://") && strings.Contains(s, "@") },
		regexp.MustCompile(`(://[^\s:/?@]*:)[^\s]+(@)`)},
	// The values of keys: in DSNs, forms, JSON and command lines.
	{holdsSecretKey,
		regexp.MustCompile(`(?i)((?:` + strings.Join(secretKeys, "|") + `)"?\s*[=:]\s*)(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[^\s&,;}'"]+)()`)},
	{func(s string) bool { return containsFold(s, "bearer") },
		regexp.MustCompile(`(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}()`)},
}

// secretKeys end the names of settings that are secret, in lower case.
var secretKeys = []string{"password", "passwd", "pwd", "secret", "assertion", "access_token", "accesstoken", "refresh_token", "id_token"}

// Redact returns s with what looks like a secret replaced by "[redacted]":
// JSON Web Tokens, also when cut off, passwords in URLs, the values of keys such
// as password, client_secret and access_token, and Bearer headers. It works by
// shape and so by best effort; azurepg's own texts hold no secret to begin with.
// A text without one is returned as it is, without an allocation.
func Redact(s string) string {
	for _, m := range masks {
		if m.may(s) {
			s = m.pattern.ReplaceAllString(s, "${1}"+redacted+"${2}")
		}
	}
	return s
}

func holdsSecretKey(s string) bool {
	return strings.ContainsAny(s, "=:") && containsFold(s, secretKeys...)
}

// containsFold reports whether s contains one of words, which are lower-case
// ASCII, in any case. It goes over s once.
func containsFold(s string, words ...string) bool {
	var first [256]bool
	for _, w := range words {
		first[w[0]] = true
	}
	for i := range len(s) {
		if !first[s[i]|0x20] {
			continue
		}
		for _, w := range words {
			if len(s)-i >= len(w) && s[i]|0x20 == w[0] && strings.EqualFold(s[i:i+len(w)], w) {
				return true
			}
		}
	}
	return false
}

// NewRedactHandler returns a handler that passes records to next after Redact
// has gone over the message and all attributes: strings, errors, LogValuers,
// groups, and other values as fmt or encoding/json would print them. Values with
// nothing to hide reach next as they are. It is as safe for concurrent use as
// next is.
func NewRedactHandler(next slog.Handler) slog.Handler { return &redactHandler{next} }

type redactHandler struct{ next slog.Handler }

func (h *redactHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *redactHandler) Handle(ctx context.Context, r slog.Record) error {
	var out []slog.Attr // nil while all is clean
	n := 0
	r.Attrs(func(a slog.Attr) bool {
		clean, changed := redactAttr(a)
		if changed && out == nil {
			out = firstAttrs(r, n)
		}
		if out != nil {
			out = append(out, clean)
		}
		n++
		return true
	})
	message := Redact(r.Message)
	if out == nil && message == r.Message {
		return h.next.Handle(ctx, r)
	}
	if out == nil {
		out = firstAttrs(r, n)
	}
	redactedRecord := slog.NewRecord(r.Time, r.Level, message, r.PC)
	redactedRecord.AddAttrs(out...)
	return h.next.Handle(ctx, redactedRecord)
}

// firstAttrs returns the first n attributes of r, which are clean, with room
// for the others.
func firstAttrs(r slog.Record, n int) []slog.Attr {
	out := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		if len(out) == n {
			return false
		}
		out = append(out, a)
		return true
	})
	return out
}

func (h *redactHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i], _ = redactAttr(a)
	}
	return &redactHandler{h.next.WithAttrs(out)}
}

func (h *redactHandler) WithGroup(name string) slog.Handler {
	return &redactHandler{h.next.WithGroup(name)}
}

// redactAttr returns a without secrets, and whether that differs from a. The
// value of a key that is a secret's name is one, whatever it looks like.
func redactAttr(a slog.Attr) (_ slog.Attr, changed bool) {
	if isSecretKey(a.Key) && a.Value.Kind() != slog.KindGroup {
		return slog.String(a.Key, redacted), true
	}
	a.Value, changed = redactValue(a.Value)
	return a, changed
}

func isSecretKey(name string) bool {
	for _, key := range secretKeys {
		if len(name) >= len(key) && strings.EqualFold(name[len(name)-len(key):], key) {
			return true
		}
	}
	return false
}

func redactValue(v slog.Value) (_ slog.Value, changed bool) {
	switch v.Kind() {
	case slog.KindString:
		s := Redact(v.String())
		return slog.StringValue(s), s != v.String()
	case slog.KindLogValuer:
		// Resolved once, here: a second call could answer otherwise.
		resolved, _ := redactValue(v.Resolve())
		return resolved, true
	case slog.KindGroup:
		return redactGroup(v)
	case slog.KindAny:
		return redactAny(v)
	}
	return v, false // numbers, times
}

func redactGroup(v slog.Value) (slog.Value, bool) {
	changed := false
	out := make([]slog.Attr, 0, len(v.Group()))
	for _, a := range v.Group() {
		clean, c := redactAttr(a)
		out = append(out, clean)
		changed = changed || c
	}
	if !changed {
		return v, false
	}
	return slog.GroupValue(out...), true
}

// redactAny goes by what handlers print: fmt's text, and JSON, which can show
// what hides behind a pointer in fmt's.
func redactAny(v slog.Value) (slog.Value, bool) {
	if b, ok := v.Any().([]byte); ok { // which slog's text handler prints as text
		clean := Redact(string(b))
		return slog.StringValue(clean), clean != string(b)
	}
	text := fmt.Sprintf("%+v", v.Any())
	if clean := Redact(text); clean != text {
		return slog.StringValue(clean), true
	}
	_, isError := v.Any().(error)
	if _, isJSON := v.Any().(json.Marshaler); isError && !isJSON {
		return v, false // slog's JSON handler prints its text
	}
	if b, err := json.Marshal(v.Any()); err == nil {
		if clean := Redact(string(b)); clean != string(b) {
			return slog.StringValue(clean), true
		}
	}
	return v, false
}
