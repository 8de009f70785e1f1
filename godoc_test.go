package azurepg

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// publicPackages returns the documentation of the packages that others can import.
func publicPackages(t *testing.T) (pkgs []*doc.Package) {
	t.Helper()
	for _, dir := range append(packageDirs(t), ".") {
		if strings.HasPrefix(dir, "internal/") || strings.HasPrefix(dir, "cmd/") {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, path := range append(goFiles(t, dir), testFiles(t, dir)...) { // the examples are in tests
			f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		pkg, err := doc.NewFromFiles(fset, files, "github.com/azurepg/azurepg/"+dir)
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, pkg)
	}
	if len(pkgs) < 4 {
		t.Fatalf("only %d public packages", len(pkgs))
	}
	return pkgs
}

func testFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.go") {
			files = append(files, dir+"/"+e.Name())
		}
	}
	return files
}

// What is exported is documented, in a sentence that begins with its name, so that it
// can be found by it; and a package says what it is for.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	n := 0
	for _, pkg := range publicPackages(t) {
		if !strings.HasPrefix(pkg.Doc, "Package "+pkg.Name+" ") || !strings.Contains(pkg.Doc, "\n# ") {
			t.Errorf("package %s does not say in sections what it is for", pkg.Name)
		}
		check := func(name, text string) {
			n++
			beginning := strings.Fields(text)[:min(2, len(strings.Fields(text)))]
			if short := name[strings.LastIndex(name, ".")+1:]; !slices.Contains(beginning, short) {
				t.Errorf("%s.%s: its documentation begins with %q", pkg.Name, name, beginning)
			}
		}
		for _, f := range pkg.Funcs {
			check(f.Name, f.Doc)
		}
		for _, typ := range pkg.Types {
			check(typ.Name, typ.Doc)
			for _, f := range append(typ.Funcs, typ.Methods...) {
				check(typ.Name+"."+f.Name, f.Doc)
			}
		}
	}
	if n < 150 {
		t.Errorf("only %d names were looked at", n)
	}
}

// What a newcomer calls first can be seen at work.
func TestFirstCallsHaveExamples(t *testing.T) {
	want := []string{
		"azurepg", "azurepg NewConnector", "azurepg NewPool", "azurepg NewTokenCache", "azurepg ParseDSN", "azurepg Redact", "azurepg Connector.Stats",
		"azurepg Config.TokenCache", "azurepg TokenError", "azurepgtest Start", "doctor Examine", "pq",
	}
	var have []string
	for _, pkg := range publicPackages(t) {
		named := func(prefix string, examples []*doc.Example) {
			for range examples {
				have = append(have, strings.TrimSpace(pkg.Name+" "+prefix))
			}
		}
		named("", pkg.Examples)
		for _, f := range pkg.Funcs {
			named(f.Name, f.Examples)
		}
		for _, typ := range pkg.Types {
			named(typ.Name, typ.Examples)
			for _, f := range append(typ.Funcs, typ.Methods...) {
				name := f.Name
				if f.Recv != "" {
					name = typ.Name + "." + name
				}
				named(name, f.Examples)
			}
		}
	}
	for _, name := range want {
		if !slices.Contains(have, name) {
			t.Errorf("%s has no example", name)
		}
	}
}
