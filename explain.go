package azurepg

import (
	"strings"

	"github.com/azurepg/azurepg/internal/explain"
)

// explanation is one way to fail, in words. All advice that azurepg's errors
// give stands in tables of these, one for each kind of error, and the README's
// "When it fails" shows rows of them. Words in {braces} are filled in.
type explanation struct {
	says   string // what the message says, for the README
	means  string // the cause; it may be empty
	advice string // what to do, in one sentence; empty: nothing but to try again
	readme bool   // people meet it: the README has the row
}

// text is cause and advice in one line, filled with facts.
func (x explanation) text(facts map[string]string) string {
	if x.means == "" || x.advice == "" {
		return explain.Fill(x.means+x.advice, facts)
	}
	return explain.Fill(x.means+": "+x.advice, facts)
}

// sqlLiteral and sqlName make a foreign text fit to stand in SQL that a person
// is told to run: cut, on one line, and closed in its quotes.
func sqlLiteral(s string) string { return "'" + strings.ReplaceAll(printable(s), "'", "''") + "'" }

func sqlName(s string) string { return `"` + strings.ReplaceAll(printable(s), `"`, `""`) + `"` }

func printable(s string) string { return onlyPrintable(cutForeign(s), '?') }
