package azurepg

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// docsOf returns the doc comments in a file: of fields as Type.Field, of functions and
// methods by their name, of types.
func docsOf(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			docs[d.Name.Name] = oneSpace(d.Doc.Text())
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				s, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				docs[s.Name.Name] = oneSpace(d.Doc.Text())
				if fields, ok := s.Type.(*ast.StructType); ok {
					var last string
					for _, field := range fields.Fields.List {
						if field.Doc != nil { // else it shares that of the one above
							last = oneSpace(field.Doc.Text())
						}
						for _, name := range field.Names {
							docs[s.Name.Name+"."+name.Name] = last
						}
					}
				}
			}
		}
	}
	return docs
}

func oneSpace(s string) string { return strings.Join(strings.Fields(s), " ") }

// words are how the documentation writes a duration.
func words(d time.Duration) string {
	switch {
	case d == time.Second:
		return "a second"
	case d >= 2*time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// A default stands in one constant and in the documentation, and they are the same.
func TestDefaultsInTheDocumentationAreTheConstants(t *testing.T) {
	for file, wants := range map[string]map[string]string{
		"config.go": {
			"Host.Port":                 fmt.Sprintf("Zero: %d", defaultPort),
			"Config.SSLMode":            fmt.Sprintf("Empty: %q", defaultSSLMode),
			"Config.SSLRootCert":        "Empty: " + systemRoots,
			"Config.SSLMinVersion":      fmt.Sprintf("Empty: %q", defaultSSLMinVersion),
			"Config.SSLNegotiation":     fmt.Sprintf("Empty: %q", defaultSSLNegotiation),
			"Config.ConnectTimeout":     "Zero: " + words(defaultConnectTimeout),
			"Config.TargetSessionAttrs": fmt.Sprintf("Empty: %q", defaultTargetSession),
			"Config.AzureCredential":    fmt.Sprintf("Empty: %q", credentialDefault),
			"Config.RefreshAhead":       "Zero: " + words(defaultRefreshAhead),
			"Config.TokenTimeout":       "Zero: " + words(defaultTokenTimeout),
		},
		"refresh.go": {
			"TokenCacheOptions.RefreshAhead": "Zero or less: " + words(defaultRefreshAhead),
			"TokenCacheOptions.Timeout":      "Zero or less: " + words(defaultTokenTimeout),
			"TokenCache":                     "tried again after about " + words(refreshRetry),
		},
		"refresh_force.go": {"Invalidate": "At most one fetch in " + words(forceInterval) + " is forced"},
	} {
		docs := docsOf(t, file)
		for name, want := range wants {
			if !strings.Contains(docs[name], want) {
				t.Errorf("%s: the documentation of %s does not say %q: %s", file, name, want, docs[name])
			}
		}
	}
	if want := "not repeated within " + words(failureHold); !strings.Contains(docsOf(t, "refresh.go")["TokenCache"], want) {
		t.Errorf("the documentation of TokenCache does not say %q", want)
	}
}

var saysZero = regexp.MustCompile(`(Empty|Zero|Zero or less|Nil): `)

// Whoever reads a field's documentation learns what leaving it out means.
func TestEveryFieldSaysWhatItsZeroMeans(t *testing.T) {
	silent := map[string]bool{
		"Host.Name": true, "Config.Hosts": true, // needed
		"Config.DisableInstanceDiscovery": true, // false speaks for itself
	}
	for file, types := range map[string][]string{"config.go": {"Host", "Config"}, "refresh.go": {"TokenCacheOptions"}} {
		n := 0
		for name, doc := range docsOf(t, file) {
			typ, _, isField := strings.Cut(name, ".")
			if !isField || !slices.Contains(types, typ) {
				continue
			}
			n++
			says := saysZero.MatchString(doc)
			if says == silent[name] {
				t.Errorf("%s: says what its zero value means: %v; want %v: %s", name, says, !silent[name], doc)
			}
		}
		if n < 4 {
			t.Errorf("%s: only %d fields found", file, n)
		}
	}
}
