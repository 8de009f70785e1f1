package azurepg

import "strings"

// stretch remembers where s[from:end] ends and where it has its last @, so that a
// text full of half URLs costs no more than its length.
type stretch struct{ from, end, at int }

func (t *text) set(r *stretch, from, end int) {
	r.from, r.end = from, end
	r.at = from + strings.LastIndexByte(t.s[from:end], '@')
	if r.at < from {
		r.at = -1
	}
}

// findURLPassword finds the password of the URL whose "://" stands at i. Clients
// disagree on which characters end it, so it reaches to the last @ of all that is
// not white space.
func (t *text) findURLPassword(i int) (int, int) {
	user := afterSlashes(t.s, i)
	if user < 0 {
		return 0, 0
	}
	from, named := userEnd(t.s, user)
	if from < 0 {
		return 0, 0
	}
	t.measure(from)
	scheme := schemeBefore(t.s, i)
	if isPort(t.s, from) {
		if named || isWebScheme(scheme) || t.query.at < from {
			return 0, 0
		}
		return from, t.query.at // a password such as 12/ab
	}
	for _, at := range []int{t.query.at, t.run.at, t.encodedAt} {
		if at >= from {
			return from, at
		}
	}
	switch {
	case named || !isOwnScheme(scheme):
		return 0, 0
	case t.line.at >= from: // white space in the password
		return from, t.line.at
	}
	return findAnyValue(t.s, from, ':') // no host: the whole rest
}

// measure finds out about the stretches that from stands in.
func (t *text) measure(from int) {
	if from >= t.run.end {
		end := from
		for end < len(t.s) && !isSpace(t.s[end]) {
			end++
		}
		t.set(&t.run, from, end)
		t.encodedAt = lastEncodedAt(t.s[:end], from)
	}
	if from >= t.line.end {
		end := strings.IndexByte(t.s[from:], '\n')
		if end < 0 {
			end = len(t.s) - from
		}
		t.set(&t.line, from, from+end)
	}
	if from >= t.query.end {
		t.set(&t.query, from, queryStart(t.s[:t.run.end], from))
	}
}

func lastEncodedAt(s string, from int) int {
	for i := len(s) - 3; i >= from; i-- {
		if s[i] == '%' {
			if c, _ := decodeAt(s, i); c == '@' {
				return i
			}
		}
	}
	return -1
}

// queryStart returns where a query begins at or after from, one with a key of
// DSNs such as ?user=, whose value may hold an @.
func queryStart(s string, from int) int {
	for i := from; i < len(s); i++ {
		if s[i] == '?' && startsDSNKey(s[i+1:], '=') {
			return i
		}
	}
	return len(s)
}

// afterSlashes returns the index after the "://" at i, or -1.
func afterSlashes(s string, i int) int {
	if s[i] == ':' && i+1 < len(s) && (isAlnum(s[i+1]) || s[i+1] == ' ' || s[i+1] == '"') { // most colons
		return -1
	}
	for _, want := range []byte("://") {
		if i >= len(s) {
			return -1
		}
		c, width := decodeAt(s, i)
		if c != want {
			return -1
		}
		i += width
	}
	return i
}

// userEnd returns the index after the colon that follows the user, or the host if
// there is no user, or -1. named: an @ stands before the colon.
func userEnd(s string, i int) (after int, named bool) {
	for i < len(s) && !isSpace(s[i]) {
		c, width := decodeAt(s, i)
		switch c {
		case ':':
			return i + width, named
		case '/', '?':
			return -1, false
		case '@':
			named = true
		case '[':
			width += addressLength(s[i+1:])
		}
		i += width
	}
	return -1, false
}

// addressLength returns the length of the IPv6 address that s begins with, 45
// characters at most and a zone.
func addressLength(s string) int {
	n := 0
	for n < len(s) && n < 64 && (isAlnum(s[n]) || strings.IndexByte(":.%-_", s[n]) >= 0) {
		n++
	}
	if n == len(s) || s[n] != ']' {
		return 0
	}
	return n
}

// isPort reports whether a port, and no password, begins at from: digits and then
// the end of the authority or another host, without an @.
func isPort(s string, from int) bool {
	i := from
	for i < len(s) && i < from+5 && isDigit(s[i]) {
		i++
	}
	if i == len(s) || isSpace(s[i]) || isPunctuation(s[i]) && endsValue(s, i, ':') {
		return true
	}
	if c, _ := decodeAt(s, i); strings.IndexByte("/?#,.", c) < 0 {
		return false
	}
	for i < len(s) && !isSpace(s[i]) {
		c, width := decodeAt(s, i)
		if c == '@' {
			return false
		}
		if c == '/' || c == '?' {
			break
		}
		i += width
	}
	return true
}

// schemeBefore returns the scheme that ends at i.
func schemeBefore(s string, i int) string {
	from := i
	for from > 0 && i-from < 32 && (isAlnum(s[from-1]) || strings.IndexByte("+-.", s[from-1]) >= 0) {
		from--
	}
	return s[from:i]
}

// isWebScheme: there a password cannot hold a /, and paths hold @.
func isWebScheme(scheme string) bool {
	return strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")
}
