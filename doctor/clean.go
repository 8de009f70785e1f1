package doctor

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/azurepg/azurepg"
)

// clean makes a text, which may be foreign, fit to stand in a report: without secrets, on
// one line, without what moves a cursor, and of at most about limit bytes.
func clean(text string, limit int) string {
	text = azurepg.Redact(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")) // errors.Join parts by lines
	text = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}
