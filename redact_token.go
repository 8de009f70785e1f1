package azurepg

import "strings"

// minToken is how many characters must follow eyJ, so that words with these three
// letters stay. What is cut off sooner says nothing.
const minToken = 5

// findToken finds a JWT by the J of eyJ, the base64url of `{"`. It may stand glued to
// other letters: better a word too much than a token.
func findToken(s string, i int) (from, to int) {
	if i < 2 || s[i-1] != 'y' || s[i-2] != 'e' {
		return 0, 0
	}
	n, j := 0, i+1
	for j < len(s) {
		c, width := decodeAt(s, j)
		if !isToken68(c) {
			break
		}
		n++
		j += width
	}
	if n < minToken {
		return 0, 0
	}
	return i - 2, j
}

// isToken68 accepts what RFC 7235 allows in a token: base64 in both alphabets,
// its padding, and dots.
func isToken68(c byte) bool { return isAlnum(c) || strings.IndexByte("-._~+/=", c) >= 0 }

// findBearer finds the credential after the word Bearer, which tells itself from
// prose by more than small letters, and from a challenge by not being realm="x".
func findBearer(s string, i int) (from, to int) {
	const word = "bearer"
	if len(s)-i <= len(word) || !strings.EqualFold(s[i:i+len(word)], word) {
		return 0, 0
	}
	from = i + len(word)
	for from < len(s) {
		c, width := decodeAt(s, from)
		if !isSpace(c) && s[from] != '+' {
			break
		}
		from += width
	}
	to = from
	for to < len(s) && isToken68(s[to]) {
		to++
	}
	if to < len(s) && s[to] == '"' && s[to-1] == '=' {
		return 0, 0
	}
	end := len(strings.TrimRight(s[from:to], ".")) + from
	if from == i+len(word) || end-from < 8 || strings.IndexFunc(s[from+1:end], isNotProse) < 0 {
		return 0, 0
	}
	return from, to
}

func isNotProse(r rune) bool { return (r < 'a' || r > 'z') && r != '-' && r != '/' }

// findSQLPassword finds the literal of PASSWORD 'x' by its first quote.
func findSQLPassword(s string, i int) (from, to int) {
	j := i
	switch {
	case j > 0 && s[j-1]|0x20 == 'e': // E'x'
		j--
	case j > 1 && s[j-1] == '&' && s[j-2]|0x20 == 'u': // U&'x'
		j -= 2
	}
	end := j
	for end > 0 && isSpace(s[end-1]) {
		end--
	}
	if end == j || !hasSuffixFold(s[:end], "password") {
		return 0, 0
	}
	return findQuoted(s, i)
}

// findFlag finds the word after a flag such as --password, also as lists of words
// are printed: "--password", "x".
func findFlag(s string, i int) (from, to int) {
	if i+1 >= len(s) || s[i+1] != '-' || i > 0 && !isSpace(s[i-1]) && !isPunctuation(s[i-1]) {
		return 0, 0
	}
	from = i + 2
	from += nameLength(s[from:])
	if !isSecretKey(s[i+2 : from]) {
		return 0, 0
	}
	start := from
	for from < len(s) && from-start < 8 && (isBlank(s[from]) || isQuote(s[from]) || s[from] == ',' || s[from] == '\\') {
		from++
	}
	for from > start && !isBlank(s[from-1]) && s[from-1] != ',' { // the quotes of the value are its own
		from--
	}
	if from == start || from == len(s) || isSpace(s[from]) || s[from] == '-' {
		return 0, 0
	}
	return findAnyValue(s, from, '=')
}
