package doctor

import (
	"strings"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/internal/foreign"
)

// clean makes a text, which may be foreign, fit to stand in a report: without secrets, on
// one line, without what moves a cursor, and of at most about limit bytes.
func clean(text string, limit int) string {
	text = azurepg.Redact(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")) // errors.Join parts by lines
	return foreign.Cut(foreign.Printable(text, ' '), limit)
}
