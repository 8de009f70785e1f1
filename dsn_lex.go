package azurepg

import (
	"errors"
	"strings"
)

// dsnParam is one name and value of a DSN or of a section of a service file.
type dsnParam struct {
	name, value string
	where       string // such as "parameter 3", for error texts
}

// dsnText is what the lexers make of a text. They never stop at the first
// mistake: what follows may be a password, which must be complained about first.
type dsnText struct {
	params   []dsnParam
	password bool  // one is given
	form     error // the text is none of the forms that azurepg reads
	err      error // the first mistake otherwise
}

func (t *dsnText) add(p dsnParam) {
	t.params = append(t.params, p)
	if p.value == "" {
		return
	}
	if isPasswordName(p.name) || p.name != "options" && holdsPassword(p.value, ";") {
		t.password = true
	}
	// A URL within a value, as in DATABASE_URL=postgres://…, is a DSN that was
	// passed on with too much around it.
	if scheme, rest, ok := strings.Cut(p.value, "://"); ok && isOwnScheme(scheme) {
		t.password = t.password || lexURL(rest).password
		t.fail(dsnErrorf("DSN", "%s holds a whole URL: give the URL alone", p.where))
	}
}

func (t *dsnText) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// problem returns what is to be said about the text, the password first.
func (t *dsnText) problem() error {
	switch {
	case t.password:
		return &DSNError{Key: "password", Err: ErrPasswordInDSN}
	case t.form != nil:
		return t.form
	}
	for _, p := range t.params {
		if strings.IndexByte(p.name, 0) >= 0 || strings.IndexByte(p.value, 0) >= 0 {
			return errNUL
		}
	}
	return t.err
}

var errNUL = &DSNError{Key: "DSN", Err: errors.New("it holds a NUL character, which PostgreSQL cannot take")}

// lexDSN finds out the form of text and takes it to pieces.
func lexDSN(text string) *dsnText {
	head, rest, isURL := strings.Cut(text, "://")
	switch {
	case hasPrefixFold(text, "jdbc:"):
		return foreignText(text, "it is a JDBC URL; "+formHint)
	case isURL && isOwnScheme(head):
		return lexURL(rest)
	case isURL && isScheme(head):
		what := "its scheme is none of azurepg's; "
		if name, ok := foreignSchemes[asciiLower(head)]; ok {
			what = "it is a " + name + " URL; "
		}
		return foreignText(text, what+formHint)
	case isURL && !strings.Contains(head, "="):
		// A quote, a byte order mark, half a shell command.
		return foreignText(text, "something stands before its scheme; "+formHint)
	case strings.HasPrefix(text, "//"), hasPrefixFold(text, "postgres:"), hasPrefixFold(text, "postgresql:"), hasPrefixFold(text, "azurepg:"):
		return foreignText(text, "it lacks postgres:// before the host; "+formHint)
	case lacksScheme(text):
		return foreignText("//"+text, "it lacks postgres:// before the host; "+formHint)
	case looksLikeADO(text):
		return foreignText(text, "it is an ADO.NET or ODBC connection string; "+formHint)
	}
	return lexKeyword(text)
}

// lacksScheme recognizes what was written as a URL, or as a host alone, by what stands
// before the first =, where a list of key=value has a name.
func lacksScheme(text string) bool {
	head, _, found := strings.Cut(text, "=")
	return !strings.ContainsAny(strings.TrimSpace(head), " \t\r\n'\"") && (strings.ContainsAny(head, "@/") || !found && strings.TrimSpace(head) != "")
}

const formHint = "azurepg takes postgres://user@host/dbname?key=value or host=… user=… dbname=…"

// foreignText is a text that is refused as a whole. It is read as a URL only to
// see whether it holds a password.
func foreignText(text, what string) *dsnText {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		if _, rest, ok = strings.Cut(text, ":"); strings.HasPrefix(text, "//") || !ok {
			rest = text
		}
	}
	return &dsnText{
		password: lexURL(strings.TrimLeft(rest, "/")).password || holdsPassword(text, ";&?, \t\r\n"),
		form:     &DSNError{Key: "DSN", Err: errors.New(what)},
	}
}

// holdsPassword reports whether one of the parts that separators make of s, but
// for the first, is a password: name=value.
func holdsPassword(s, separators string) bool {
	for i := strings.IndexAny(s, separators); i >= 0; i = strings.IndexAny(s, separators) {
		s = s[i+1:]
		name, value, ok := strings.Cut(s, "=")
		if ok && isPasswordName(strings.TrimSpace(name)) && strings.TrimSpace(value) != "" && !strings.ContainsRune(separators, rune(value[0])) {
			return true
		}
	}
	return false
}

// looksLikeADO recognizes name=value;name=value lists by the names before the
// first = and after the first ; outside of quotes. An options='-c a=b;c' has
// neither.
func looksLikeADO(text string) bool {
	first, rest, ok := strings.Cut(text, "=")
	if !ok {
		return false
	}
	first = asciiLower(strings.Join(strings.Fields(first), " "))
	if adoOnly[first] {
		return true
	}
	if !adoNames[first] {
		return false
	}
	quoted := false
	for i := range len(rest) {
		switch rest[i] {
		case '\'':
			quoted = !quoted
		case ';':
			if quoted {
				continue
			}
			next, _, _ := strings.Cut(rest[i+1:], "=")
			next = asciiLower(strings.Join(strings.Fields(next), " "))
			return next == "" || adoNames[next] || adoOnly[next]
		}
	}
	return false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// isScheme follows RFC 3986, section 3.1.
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !(c >= 'a' && c <= 'z') && (i == 0 || !(s[i] >= '0' && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.')) {
			return false
		}
	}
	return s != ""
}

// isOwnScheme accepts ours, libpq's, and what Celery and SQLAlchemy make of them.
func isOwnScheme(s string) bool {
	s = asciiLower(s)
	switch s {
	case "azurepg", "postgres", "postgresql", "db+postgresql":
		return true
	}
	driver, ok := strings.CutPrefix(s, "postgresql+")
	return ok && isScheme(driver)
}
