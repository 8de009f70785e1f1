package azurepg

import (
	"strconv"
	"strings"
)

const blanks = " \t\n\v\f\r" // isspace of the C locale

// lexKeyword reads libpq's keyword/value form as conninfo_parse in fe-connect.c
// does: blanks may stand around the =, a value ends at a blank unless it is
// quoted, a backslash takes the next character as it is. An empty value must be
// quoted, else the next word is the value.
func lexKeyword(s string) *dsnText {
	t := &dsnText{}
	for n := 1; ; n++ {
		if s = strings.TrimLeft(s, blanks); s == "" {
			return t
		}
		where := "parameter " + strconv.Itoa(n)
		i := strings.IndexAny(s, "="+blanks)
		if i < 0 {
			i = len(s)
		}
		name, rest := s[:i], strings.TrimLeft(s[i:], blanks)
		if !strings.HasPrefix(rest, "=") || name == "" {
			t.fail(dsnErrorf("DSN", "%s is not of the form key=value", where))
			s = strings.TrimPrefix(rest, "=")
			continue
		}
		value, rest, ok := keywordValue(strings.TrimLeft(rest[1:], blanks))
		if !ok {
			t.fail(dsnErrorf("DSN", "%s has a quote that never ends", where))
		}
		t.add(dsnParam{name, value, where})
		s = rest
	}
}

// keywordValue reads the value at the start of s.
func keywordValue(s string) (value, rest string, ok bool) {
	var b strings.Builder
	quoted := strings.HasPrefix(s, "'")
	i := 0
	if quoted {
		i = 1
	}
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case quoted && c == '\'':
			return b.String(), s[i+1:], true
		case !quoted && strings.IndexByte(blanks, c) >= 0:
			return b.String(), s[i:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", !quoted
}
