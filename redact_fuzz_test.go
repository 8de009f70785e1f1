package azurepg

import (
	"encoding/json"
	"strings"
	"testing"
)

// A token is hidden whatever stands around it.
func FuzzRedactHidesAToken(f *testing.F) {
	f.Add("host=h password=x", "after")
	f.Add("postgres://u:", "@h/d")
	f.Add("password='", "' x")
	f.Add("eyJabcdefgh%2", ".")
	f.Fuzz(func(t *testing.T, before, after string) {
		if got := Redact(before + tokenText + after); strings.Contains(got, "eyJzdWIiOiJIVU5URVIyIn0") {
			t.Errorf("got %q", got)
		}
	})
}

// without returns s without the characters of set.
func without(s, set string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(set, r) {
			return -1
		}
		return r
	}, s)
}

const (
	whiteSpace = " \t\n\v\f\r"
	syntax     = "\"'`\\[](){}<>&;,"
)

// The password of a URL is hidden whatever stands around the URL and in the
// password, except white space, the start of a query such as ?user=, and digits in
// front, which can be a port.
func FuzzRedactHidesAPasswordInAURL(f *testing.F) {
	f.Add("", "a@b/c?d#e", "", "")
	f.Add("http://x:y@", ":", "%40", "?user=a@b")
	f.Add("password='", "&a=", "',\"", "\"}")
	f.Fuzz(func(t *testing.T, before, head, tail, after string) {
		head, tail = without(head, whiteSpace), without(tail, whiteSpace)
		password := "p" + head + "HUNTER2" + tail
		if queryStart(password, 0) < len(password) || strings.Contains(before+after, "HUNTER2") {
			return
		}
		if got := Redact(before + "postgres://u:" + password + "@h/d" + after); strings.Contains(got, "HUNTER2") {
			t.Errorf("%q in %q and %q: got %q", password, before, after, got)
		}
	})
}

// The value of a key is hidden if no quote or bracket is open before it, and if it
// holds no white space and nothing of the syntax around values.
func FuzzRedactHidesAValue(f *testing.F) {
	f.Add("host=h", "", "", "user=u")
	f.Add("pwd=", "=", "%26", "'")
	f.Add("Authorization: Digest", ":", "@", "\"")
	f.Fuzz(func(t *testing.T, before, head, tail, after string) {
		before, password := without(before, syntax), without(head, whiteSpace+syntax)+"HUNTER2"+without(tail, whiteSpace+syntax)
		if strings.Contains(before+after, "HUNTER2") {
			return
		}
		for _, key := range []string{"password=", "password = ", "PGPASSWORD=", "azure_client_secret=", "Client-Secret: ", "?password="} {
			if got := Redact(before + " " + key + password + " " + after); strings.Contains(got, "HUNTER2") {
				t.Errorf("%q in %q and %q: got %q", key+password, before, after, got)
			}
		}
	})
}

// A string of JSON is hidden whatever it holds, and the JSON stays whole.
func FuzzRedactHidesASecretInJSON(f *testing.F) {
	f.Add("", "\"\\'", " ", "x")
	f.Add("secret=", "', ", "\x00\xff", "\"")
	f.Fuzz(func(t *testing.T, before, head, tail, after string) {
		before = without(before, syntax)
		if strings.Contains(before+after, "HUNTER2") {
			return
		}
		inner, err := json.Marshal(map[string]string{"client_secret": head + "HUNTER2" + tail})
		if err != nil {
			t.Fatal(err)
		}
		outer, err := json.Marshal([]string{string(inner), after})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(inner), string(outer)} {
			got := Redact(text)
			if strings.Contains(got, "HUNTER2") || Redact(after) == after && !json.Valid([]byte(got)) {
				t.Errorf("%s becomes %s", text, got)
			}
			if got := Redact(before + " " + text + after); strings.Contains(got, "HUNTER2") {
				t.Errorf("%s after %q: got %s", text, before, got)
			}
		}
	})
}

// harmless are pieces of text of which no sequence holds a secret.
var harmless = []string{
	"the ", "password was ", "secret was ", "token: ", "refused ", "host=h ", "user=u ", "n: 3 ", "a=b&c=d ", "{a:1 b:2} ", `{"a":"b"} `, "[1 2] ",
	"https://h/p ", "postgres://h:5432/d?user=a@b ", "a@b.c ", "::1 ", "10.0.0.1:5432 ", "'x' ", `"y" `, "%20 ", "Bearer token ", "eyJ ", "ü ", "\xff ", "\n", "\\ ", "Basic x ", "(SQLSTATE 28P01) ",
}

func FuzzRedactLeavesCleanTextAlone(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27})
	f.Fuzz(func(t *testing.T, choice []byte) {
		var b strings.Builder
		for _, c := range choice {
			b.WriteString(harmless[int(c)%len(harmless)])
		}
		if got := Redact(b.String()); got != b.String() {
			t.Errorf("%q becomes %q", b.String(), got)
		}
	})
}

func FuzzRedactTwiceIsRedactOnce(f *testing.F) {
	for _, text := range append(cleanTexts, hostile...) {
		f.Add(text)
	}
	f.Add("secret=,eyJabcdefgh=1 password=http://u:p,b=q@h pwd='a' 'b @")
	f.Fuzz(func(t *testing.T, s string) {
		once := Redact(s)
		if twice := Redact(once); twice != once {
			t.Errorf("%q becomes %q, then %q", s, once, twice)
		}
	})
}
