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
	name := keyBefore(s, i)
	key := secretKeyOf(name)
	if key == "" {
		key = secretKeyOf(nameBeforeValue(name))
	}
	sep, width := decodeAt(s, i)
	if key == "" || sep != '=' && sep != ':' {
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
	case strings.HasSuffix(name, noTokenFrom+credentialSecret): // what follows is a TokenError's
		return 0, 0
	case from == len(s) || isSpace(s[from]):
		return 0, 0
	case from > start && !isBlank(s[i-1]) && startsDSNKey(s[from:], sep): // password= user=x
		return 0, 0
	case saysNothing(s, from):
		return 0, 0
	case key == keyAuthorization && sep == '=' && schemeLength(s, afterQuotes(s, from)) == 0: // an address
		return 0, 0
	case key == keyAuthorization:
		return findCredentials(s, from)
	}
	start = from
	if from, to = findAnyValue(s, from, sep); from == start && sep == '=' && isADOKey(name) {
		to = max(to, adoEnd(s, from))
	}
	return from, to
}

// nameBeforeValue returns the text that ends in the name of what name, which ends in
// "value", is the value of: {"name":"PGPASSWORD","value":"x"}, as containers and XML
// have them.
func nameBeforeValue(name string) string {
	n := len(name) - len("value")
	if n < 0 || name[len(name)-1]|0x20 != 'e' || !strings.EqualFold(name[n:], "value") {
		return ""
	}
	for limit := n - 64; n > 0 && n > limit && (isSpace(name[n-1]) || isPunctuation(name[n-1]) || name[n-1] == '_' || name[n-1] == '-'); {
		n--
	}
	return name[:n]
}

// isADOKey reports whether the key that s ends in stands after a semicolon, as in
// ADO.NET's connection strings.
func isADOKey(s string) bool {
	i := len(s)
	for i > 0 && len(s)-i < 64 && (isAlnum(s[i-1]) || s[i-1] == '_') {
		i--
	}
	for i > 0 && len(s)-i < 64 && isBlank(s[i-1]) {
		i--
	}
	return i > 0 && s[i-1] == ';'
}

// adoEnd returns where the value at from ends, which may hold blanks: at the next
// semicolon of the line; from if there is none.
func adoEnd(s string, from int) int {
	end := strings.IndexAny(s[from:], ";\r\n")
	if end < 0 || s[from+end] != ';' {
		return from
	}
	return from + end
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

// saysNothing reports whether the value at from is the literal of a language or a
// parameter of SQL.
func saysNothing(s string, from int) bool {
	for _, word := range []string{"null", "nil", "<nil>", "true", "false"} {
		if strings.HasPrefix(s[from:], word) {
			end := from + len(word)
			return isOver(s, end)
		}
	}
	if s[from] != '$' && s[from] != '?' {
		return false
	}
	end := from + 1 // of a parameter of SQL
	for end < len(s) && end < from+3 && s[from] == '$' && isDigit(s[end]) {
		end++
	}
	return (s[from] == '?' || end > from+1) && isOver(s, end)
}

// findCredentials finds the credentials of an Authorization header. The names of
// schemes with one credential stay; those with parameters reach to the end of the line.
func findCredentials(s string, from int) (int, int) {
	open := afterQuotes(s, from)
	if n := schemeLength(s, open); n > 0 {
		return findAnyValue(s, open+n, ':')
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

func afterQuotes(s string, i int) int {
	for i < len(s) && (isQuote(s[i]) || s[i] == '\\') {
		i++
	}
	return i
}

// schemeLength returns the length of the name of a scheme with one credential at i,
// or 0.
func schemeLength(s string, i int) int {
	for _, scheme := range []string{"bearer ", "basic "} {
		if len(s)-i > len(scheme) && strings.EqualFold(s[i:i+len(scheme)], scheme) {
			return len(scheme)
		}
	}
	return 0
}
