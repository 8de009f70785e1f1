package azurepg

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// FuzzParseDSN checks of any text, used as DSN, as variables and as section of a
// service file: no panic; errors are one short line in our own words;
// what parses is formatted and read back as the same Config.
func FuzzParseDSN(f *testing.F) {
	add := func(dsn string, env map[string]string) {
		vars := ""
		for name, v := range env {
			vars += name + "='" + v + "' "
		}
		f.Add(dsn, "", vars, "")
		f.Add(dsn, "h", vars+"PGSERVICE=s", serviceFile)
	}
	for _, tt := range goodDSNs {
		add(tt.dsn, tt.env)
	}
	for _, tt := range badDSNs {
		add(tt.dsn, tt.env)
	}
	f.Add("service=s", "h", "", strings.ReplaceAll(serviceFile, "[other]", "[t]"))
	f.Add("user=u", "h", "PGSERVICE=s PGUSER=v PGAPPNAME=a", serviceFile)
	f.Add("postgres://h1:1,[::1]:2/d?sslmode=require", "", "PGSSLMODE=disable PGSERVICE=s PGHOSTADDR=::1,::2", "[s]\nsslmode=verify-full\nport=1,2\n")
	words := ownWords(f)
	f.Fuzz(func(t *testing.T, dsn, host, vars, service string) {
		env := map[string]string{"PGHOST": host}
		for _, kv := range lexKeyword(vars).params {
			env[kv.name] = kv.value
		}
		src := stubSource(env, map[string]string{"/home/u/.pg_service.conf": service})
		c, err := parseDSN(dsn, src)
		if err != nil {
			checkDSNError(t, err, words)
			return
		}
		formatted := c.FormatDSN()
		again, err := parseDSN(formatted, src)
		if strings.Contains(formatted, "&azure_client_secret=") || strings.Contains(formatted, "&azure_client_certificate_password=") {
			t.Fatalf("a secret is written: %q", formatted)
		}
		if err == nil { // secrets of the DSN are lost, those of PGSERVICE come again
			c.ClientSecret, c.ClientCertificatePassword = again.ClientSecret, again.ClientCertificatePassword
		}
		switch {
		case err != nil:
			t.Fatalf("%q gives %q, and that %v", dsn, formatted, err)
		case !reflect.DeepEqual(c, again):
			t.Fatalf("%q gives %q\nfirst  %+v\nsecond %+v", dsn, formatted, c, again)
		case again.FormatDSN() != formatted:
			t.Fatalf("%q gives %q, then %q", dsn, formatted, again.FormatDSN())
		}
		if _, err := again.checked(); err != nil {
			t.Fatalf("%q: a parsed Config is refused: %v", dsn, err)
		}
	})
}

// ownWords are the words of the string constants in the parser's files: the only
// ones that an error may be made of.
func ownWords(f *testing.F) map[string]bool {
	files, err := filepath.Glob("dsn*.go")
	if err != nil {
		f.Fatal(err)
	}
	words := map[string]bool{"0": true, "1": true, strconv.Itoa(math.MaxInt32): true} // put in by wholeNumber
	for _, name := range append(files, "errors.go", "cloud.go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			f.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, _ := strconv.Unquote(lit.Value)
				for _, w := range splitWords(text) {
					words[w] = true
				}
			}
			return true
		})
	}
	return words
}

func splitWords(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		return r < 0x80 && !(r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || r == '_')
	})
}

var dsnErrorPosition = regexp.MustCompile(`(parameter|line) [0-9]{1,9}`)

// checkDSNError checks that err is a *DSNError of one short line, in our own words.
func checkDSNError(t *testing.T, err error, words map[string]bool) {
	t.Helper()
	line := err.Error()
	if d, ok := err.(*DSNError); !ok || d.Key == "" {
		t.Fatalf("got %T: %v; want *DSNError with a key", err, err)
	}
	if len(line) > 300 || strings.ContainsAny(line, "\r\n\x00") {
		t.Fatalf("not one short line: %q", line)
	}
	for _, w := range splitWords(dsnErrorPosition.ReplaceAllString(line, "")) {
		if !words[w] {
			t.Fatalf("%q has the word %q, which is none of ours", line, w)
		}
	}
}
