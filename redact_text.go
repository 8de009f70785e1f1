package azurepg

import "math/bits"

// shape is a form in which secrets stand in text.
type shape int

const (
	shapeToken  shape = iota // a JSON Web Token, whole or cut off
	shapeURL                 // the password of a URL
	shapeValue               // the value of a key that names a secret
	shapeSQL                 // the literal after PASSWORD in SQL
	shapeBearer              // what follows the word Bearer
	shapeFlag                // what follows a flag of a command line that names a secret
	numberOfShapes
)

// shapeMarks are the bytes that the scanner stops at: a text of the shape holds
// one of them, and other texts hold few.
var shapeMarks = [numberOfShapes]string{
	shapeToken:  "J", // of eyJ
	shapeURL:    ":%",
	shapeValue:  ":=%\\",
	shapeSQL:    "'",
	shapeBearer: "Bb",
	shapeFlag:   "-",
}

// shapesAt has, for each byte, one bit for each shape that the byte may tell of.
var shapesAt = func() (at [256]uint8) {
	for k, marks := range shapeMarks {
		for i := range len(marks) {
			at[marks[i]] |= 1 << k
		}
	}
	return at
}()

// Redact returns s with what looks like a secret replaced by "[redacted]":
//
//   - JSON Web Tokens, also when cut off or percent-encoded
//   - the password in the authority of a URL, which may hold @, / and ?, up to the
//     last @ before white space; in the URLs of this package also without an @
//   - the value of a key whose name ends in password, passwd, pwd, passphrase,
//     secret, client_assertion, access_token, refresh_token, authorization or
//     identity_header, in any case, as DSNs, forms, JSON, headers and fmt write
//     them: key=value, key: value, "key":"value", key:[a b], quotes within quotes
//     doubled or behind a backslash
//   - the value of such a key where name and value stand apart: name: x_password,
//     value: x
//   - the literal in SQL's PASSWORD 'x', and what follows Bearer or --password
//
// Redact works by shape, and prefers to hide too much: a word after "password:"
// goes even where it is prose. A value that is not in quotes ends at white space,
// in ADO.NET's strings at a semicolon, or where punctuation leads to the next key.
// A text without secrets comes back as it is, without an allocation;
// Redact(Redact(s)) is Redact(s).
func Redact(s string) string {
	// What is hidden can change how the rest reads, so look until nothing is found:
	// mostly once more. A text that keeps changing is made to deceive.
	for range 4 {
		out := redactOnce(s)
		if out == s {
			return s
		}
		s = out
	}
	return redacted
}

// text is a text on its way through redactOnce. The secrets of one shape are
// found from left to right and do not overlap; those of different shapes may.
type text struct {
	s    string
	done [numberOfShapes]int // up to where each shape has been looked for
	out  []byte              // s[:kept] with its secrets hidden
	kept int
	// s[from:to] is the last secret found, not yet in out.
	from, to int

	// Of the URL that is being looked at: up to white space, up to the end of the
	// line, and up to the query.
	run, line, query stretch
	encodedAt        int // the last %40 of run
}

func redactOnce(s string) string {
	t := text{s: s}
	for i := range len(s) {
		for at := shapesAt[s[i]]; at != 0; at &= at - 1 {
			k := shape(bits.TrailingZeros8(at))
			if i < t.done[k] {
				continue
			}
			if from, to := t.find(k, i); from < to {
				t.done[k] = to
				t.hide(from, to)
			}
		}
	}
	if t.to == 0 {
		return s
	}
	t.flush()
	return string(append(t.out, s[t.kept:]...))
}

// find returns where the secret stands that the byte at i tells of; from and to
// are equal if there is none.
func (t *text) find(k shape, i int) (from, to int) {
	switch k {
	case shapeToken:
		return findToken(t.s, i)
	case shapeURL:
		return t.findURLPassword(i)
	case shapeValue:
		return findValue(t.s, i)
	case shapeSQL:
		return findSQLPassword(t.s, i)
	case shapeBearer:
		return findBearer(t.s, i)
	case shapeFlag:
		return findFlag(t.s, i)
	}
	return 0, 0
}

// hide notes that s[from:to] is secret. What overlaps becomes one.
func (t *text) hide(from, to int) {
	from = max(from, t.kept)
	if from >= to || t.s[from:to] == redacted {
		return
	}
	switch {
	case t.to == 0:
		t.from, t.to = from, to
	case from > t.to:
		t.flush()
		t.from, t.to = from, to
	default:
		t.from, t.to = min(t.from, from), max(t.to, to)
	}
}

func (t *text) flush() {
	t.out = append(t.out, t.s[t.kept:t.from]...)
	t.out = append(t.out, redacted...)
	t.kept = t.to
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlnum(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' }

// decodeAt returns the character at i and its width in s, percent-encoded once or
// more often or, as some write JSON, a slash after a backslash.
func decodeAt(s string, i int) (c byte, width int) {
	if s[i] == '\\' && i+1 < len(s) && s[i+1] == '/' {
		return '/', 2
	}
	if s[i] == '\\' && i+5 < len(s) && s[i+1:i+4] == "u00" && unhex(s[i+4]) >= 0 && unhex(s[i+5]) >= 0 {
		return byte(unhex(s[i+4])<<4 | unhex(s[i+5])), 6
	}
	if s[i] != '%' {
		return s[i], 1
	}
	j := i + 1
	for range 2 { // %252F is %2F encoded
		if j+3 < len(s) && s[j] == '2' && s[j+1] == '5' && unhex(s[j+2]) >= 0 && unhex(s[j+3]) >= 0 {
			j += 2
		}
	}
	if j+1 >= len(s) || unhex(s[j]) < 0 || unhex(s[j+1]) < 0 {
		return '%', 1
	}
	return byte(unhex(s[j])<<4 | unhex(s[j+1])), j + 2 - i
}

func unhex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
