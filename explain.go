package azurepg

import (
	"errors"
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

// Advice returns what is known about err and what to do, in one sentence, for programs
// that show it apart from the error's own text. It is that of the *AuthError,
// *TokenError or *DSNError in err, and for other errors of a connect it goes by what they
// say of TLS, server and network. Empty: nothing is known. (A refusal by the server in an
// error of pgx's own, as pgxpool returns it, has none here: that depends on the token,
// and is in the log.)
func Advice(err error) string {
	var (
		refused *AuthError
		noToken *TokenError
		setting *DSNError
		noTLS   *tlsError
		failed  *loginError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return refused.Advice
	case errors.As(err, &noToken) && noToken.Advice != "":
		return noToken.Advice
	case errors.As(err, &setting): // also that for which there is no token
		return setting.Err.Error()
	case noToken != nil:
		return ""
	case errors.As(err, &noTLS):
		return noTLS.advice
	case errors.As(err, &failed):
		return failed.advice
	}
	f := newFailedLogin(&Config{}, err)
	row := f.fault()
	if row == nil || findRefusal(err) != nil || strings.Contains(row.means+row.advice, "{") {
		return "" // or of facts that nobody knows here
	}
	return row.text(nil)
}

// sqlLiteral and sqlName make a foreign text fit to stand in SQL that a person
// is told to run: cut, on one line, and closed in its quotes.
func sqlLiteral(s string) string { return "'" + strings.ReplaceAll(printable(s), "'", "''") + "'" }

func sqlName(s string) string { return `"` + strings.ReplaceAll(printable(s), `"`, `""`) + `"` }
