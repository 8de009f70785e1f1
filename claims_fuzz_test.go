package azurepg

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostileClaims are what no Entra writes.
var hostileClaims = map[string]string{
	"line break":             `{"upn":"a\nb"}`,
	"end of the user's name": `{"upn":"app\u0000database\u0000other"}`,
	"escape":                 `{"unique_name":"\u001b[2Jroot"}`,
	"C1 control":             `{"preferred_username":"a\u0085b"}`,
	"in a resource id":       `{"xms_mirid":"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/a\u0000b"}`,
	"hidden behind another":  `{"upn":"a\u0007","unique_name":"b"}`,
	"name is a number":       `{"upn":1}`,
	"name is an object":      `{"upn":{"upn":"root"}}`,
	"name is null":           `{"upn":null}`,
	"claims are a list":      `[{"upn":"root"}]`,
	"claims are a string":    `"root"`,
	"nested too deep":        `{"upn":` + strings.Repeat(`[`, 20000) + strings.Repeat(`]`, 20000) + `}`,
	"cut off":                `{"upn":"root`,
	"empty":                  ``,
}

func TestHostileTokenGivesNoUserName(t *testing.T) {
	for name, claims := range hostileClaims {
		if c, _ := readClaims(fakeJWT(claims)); c.userName() != "" {
			t.Errorf("%s: userName() = %q; want none", name, c.userName())
		}
	}
	huge, _ := readClaims(fakeJWT(`{"upn":"` + strings.Repeat("x", 10<<20) + `"}`))
	if got := huge.describe(); len(got) > 400 {
		t.Errorf("a huge name is described in %d bytes", len(got))
	}
}

func FuzzClaims(f *testing.F) {
	for _, claims := range hostileClaims {
		f.Add(claims)
	}
	for _, claims := range []string{`{"upn":"alice@contoso.com","exp":1e400,"nbf":"x"}`, `{"aud":["a",1]}`, `{"aud":"https://%zz"}`, `{"xms_mirid":"////"}`} {
		f.Add(claims)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, token := range []string{fakeJWT(text), text, "a." + text + ".b", base64.RawURLEncoding.EncodeToString([]byte(text))} {
			c, ok := readClaims(token)
			name := c.userName()
			if !ok && name != "" || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) {
				t.Errorf("userName() = %q, of a token: %v", name, ok)
			}
			if got := c.describe(); strings.ContainsFunc(got, unicode.IsControl) || len(got) > 2000 {
				t.Errorf("describe() = %q", got)
			}
			_ = c.foreignAudience("https://ossrdbms-aad.database.windows.net/.default")
			_, _ = c.Expires.Time(), c.NotBefore.Time()
		}
	})
}
