package azurepg

import "strings"

// secretKeys end the names of what is secret, in lower case and without the
// separators that names may have between their words.
var secretKeys = []string{"password", "passwd", "pwd", "passphrase", "secret", "clientassertion", "accesstoken", "refreshtoken", "identityheader", keyAuthorization}

// keyAuthorization is the header whose value begins with the name of a scheme.
const keyAuthorization = "authorization"

var secretKeyEnds = func() (ends [256]bool) {
	for _, key := range secretKeys {
		last := key[len(key)-1]
		ends[last], ends[last-0x20] = true, true
	}
	return ends
}()

func isSecretKey(name string) bool { return secretKeyOf(name) != "" }

// secretKeyOf returns the one of secretKeys that name ends in, or "".
func secretKeyOf(name string) string {
	if name == "" || !secretKeyEnds[name[len(name)-1]] {
		return ""
	}
	for _, key := range secretKeys {
		if hasSuffixFold(name, key) && !hasSuffixFold(name, "sessionauthorization") { // a setting of the server
			return key
		}
	}
	return ""
}

// hasSuffixFold reports whether s ends in word, which is lower-case ASCII, in any
// case and with a separator between any two letters.
func hasSuffixFold(s, word string) bool {
	j := len(s)
	for i := len(word) - 1; i >= 0; i-- {
		if j > 0 && j < len(s) && (s[j-1] == '_' || s[j-1] == '-') {
			j--
		}
		if j == 0 || s[j-1]|0x20 != word[i] {
			return false
		}
		j--
	}
	return true
}

// findValue finds the value of a secret key by the separator at i.
func findValue(s string, i int) (from, to int) {
	key := secretKeyOf(keyBefore(s, i))
	if key == "" {
		return 0, 0
	}
	sep, width := decodeAt(s, i)
	if sep != '=' && sep != ':' || key == keyAuthorization && sep == '=' {
		return 0, 0
	}
	from = i + width
	for from < len(s) && (s[from] == '=' || s[from] == '>') { // := and =>
		from++
	}
	start := from
	for from < len(s) && isBlank(s[from]) {
		from++
	}
	switch {
	case from == len(s) || isSpace(s[from]):
		return 0, 0
	case from > start && !isBlank(s[i-1]) && startsDSNKey(s[from:], sep): // password= user=x
		return 0, 0
	case saysNothing(s, from):
		return 0, 0
	case key == keyAuthorization:
		return findCredentials(s, from)
	}
	return findAnyValue(s, from, sep)
}

// keyBefore returns the text that ends with the key before the separator at i.
func keyBefore(s string, i int) string {
	for i > 0 && isBlank(s[i-1]) {
		i--
	}
	// Quotes, also those of JSON within JSON, and brackets.
	for n := 0; n < 8 && i > 0 && !isAlnum(s[i-1]) && isPunctuation(s[i-1]); n++ {
		i--
	}
	for _, quote := range []string{"%22", "%2522"} {
		if i > 0 && s[i-1] == '2' && strings.HasSuffix(s[:i], quote) {
			return s[:i-len(quote)]
		}
	}
	return s[:i]
}

// startsDSNKey reports whether s begins with a key of DSNs, such as user=. Only
// these show that the value before them is empty: libpq takes any other text there
// for the value.
func startsDSNKey(s string, sep byte) bool {
	n := nameLength(s)
	return n < len(s) && s[n] == sep && dsnKeyIndex[asciiLower(s[:n])] != nil
}

// nameLength returns the length of the name of a setting that s begins with.
func nameLength(s string) int {
	n := 0
	for n < len(s) && n < 64 && (isAlnum(s[n]) || s[n] == '_' || s[n] == '-' || s[n] == '.') {
		n++
	}
	return n
}

// saysNothing reports whether the value at from is the literal of a language.
func saysNothing(s string, from int) bool {
	for _, word := range []string{"null", "nil", "<nil>", "true", "false"} {
		if strings.HasPrefix(s[from:], word) {
			end := from + len(word)
			return isOver(s, end)
		}
	}
	return false
}

// findCredentials finds the credentials of an Authorization header. The names of
// schemes with one credential stay; those with parameters reach to the end of the line.
func findCredentials(s string, from int) (int, int) {
	open := from
	for open < len(s) && (isQuote(s[open]) || s[open] == '\\') {
		open++
	}
	for _, scheme := range []string{"bearer ", "basic "} {
		if len(s)-open > len(scheme) && strings.EqualFold(s[open:open+len(scheme)], scheme) {
			return findAnyValue(s, open+len(scheme), ':')
		}
	}
	if open > from || s[from] == '[' {
		return findAnyValue(s, from, ':')
	}
	end := strings.IndexAny(s[from:], "\r\n")
	if end < 0 {
		return from, len(s)
	}
	return from, from + end
}

// findAnyValue finds the value at from, in quotes, in brackets, or plain.
func findAnyValue(s string, from int, sep byte) (int, int) {
	quote := from
	for quote < len(s) && s[quote] == '\\' {
		quote++
	}
	switch {
	case quote < len(s) && isQuote(s[quote]):
		return findQuoted(s, quote)
	case strings.IndexByte("[{(", s[from]) >= 0:
		end := bracketEnd(s, from)
		if !isOver(s, end) {
			end = plainEnd(s, end, sep)
		}
		return from, end
	}
	return from, plainEnd(s, from, sep)
}
