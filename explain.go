package azurepg

import "strings"

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
		return fill(x.means+x.advice, facts)
	}
	return fill(x.means+": "+x.advice, facts)
}

// fill puts facts in the place of their {names}. The facts must be fit to print;
// what is in braces in one of them stays as it is.
func fill(text string, facts map[string]string) string {
	var pairs []string
	for name, fact := range facts {
		pairs = append(pairs, "{"+name+"}", fact)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// sqlLiteral and sqlName make a foreign text fit to stand in SQL that a person
// is told to run: cut, on one line, and closed in its quotes.
func sqlLiteral(s string) string { return "'" + strings.ReplaceAll(printable(s), "'", "''") + "'" }

func sqlName(s string) string { return `"` + strings.ReplaceAll(printable(s), `"`, `""`) + `"` }
