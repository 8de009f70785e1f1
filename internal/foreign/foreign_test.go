package foreign

import "testing"

func TestOneLineIsAllThatIsLeft(t *testing.T) {
	for text, want := range map[string]string{
		"plain Größe":              "plain Größe",
		"two\nlines\r\x1b[31m":     "two?lines??[31m",
		"turned \u202e round":      "turned ? round",
		"not UTF-8 \xff":           "not UTF-8 �",
		"line separator \u2028end": "line separator ?end",
	} {
		if got := Printable(text, '?'); got != want {
			t.Errorf("Printable(%q) = %q; want %q", text, got, want)
		}
	}
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	for limit, want := range map[int]string{0: "…", 1: "a…", 2: "a…", 3: "aß…", 4: "aßc", 9: "aßc"} {
		if got := Cut("aßc", limit); got != want {
			t.Errorf("Cut to %d = %q; want %q", limit, got, want)
		}
	}
}
