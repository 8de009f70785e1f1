// Package foreign makes the text of others (servers, tools, tokens) fit to stand in
// one line. It takes no secrets out.
package foreign

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printable returns s with another character in place of each that could move a
// cursor, turn the direction of a line or end it.
func Printable(s string, instead rune) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return instead
		}
		return r
	}, s)
}

// Cut returns s, at most limit bytes of it, with … at the end if there was more.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
