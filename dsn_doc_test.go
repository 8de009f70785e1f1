package azurepg

import (
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// parseDSNDoc returns the doc comment of ParseDSN and its list items, by key.
func parseDSNDoc(t *testing.T) (text string, items map[string]string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "dsn.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(f.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && fn.Name.Name == "ParseDSN"
	})
	text = f.Decls[i].(*ast.FuncDecl).Doc.Text()
	items = map[string]string{}
	printer := &comment.Printer{TextWidth: -1}
	for _, block := range (&comment.Parser{}).Parse(text).Content {
		list, ok := block.(*comment.List)
		if !ok {
			continue
		}
		for _, item := range list.Items {
			line := string(printer.Text(&comment.Doc{Content: item.Content}))
			names, rest, _ := strings.Cut(line, ":")
			for name := range strings.SplitSeq(names, ", ") {
				if items[name] != "" {
					t.Errorf("%s is documented twice", name)
				}
				items[name] = strings.TrimSpace(rest)
			}
		}
	}
	return text, items
}

func TestParseDSNDocumentsEveryKeyWithItsDefault(t *testing.T) {
	_, items := parseDSNDoc(t)
	for _, k := range dsnKeys {
		text, ok := items[k.name]
		if !ok {
			t.Errorf("%s is not documented", k.name)
			continue
		}
		delete(items, k.name)
		if has := strings.HasPrefix(text, "["+k.env+"]"); k.env != "" && !has {
			t.Errorf("%s: the doc does not begin with [%s]: %s", k.name, k.env, text)
		} else if k.env == "" && strings.HasPrefix(text, "[") {
			t.Errorf("%s: the doc names a variable: %s", k.name, text)
		}
		if k.def != "" && !strings.HasSuffix(text, " Default: "+k.def+".") {
			t.Errorf("%s: the doc does not end with the default %s: %s", k.name, k.def, text)
		}
		if k.def == "" && k.kind != kindInert && k.name != "host" && !strings.Contains(text, "Default: ") {
			t.Errorf("%s: the doc names no default: %s", k.name, text)
		}
	}
	for name := range items {
		t.Errorf("%s is documented, but no key", name)
	}
}

func TestParseDSNDocumentsValues(t *testing.T) {
	text, items := parseDSNDoc(t)
	for _, name := range credentialNames() {
		if !strings.Contains(items["azure_credential"], name) {
			t.Errorf("azure_credential lacks %s", name)
		}
	}
	for _, scope := range databaseScopes {
		if !strings.Contains(items["azure_scope"], scope) {
			t.Errorf("azure_scope lacks %s", scope)
		}
	}
	for _, c := range credentialKeys {
		for _, key := range c.keys {
			if key != "azure_tenant_id" && !strings.Contains(items[key], c.name) && !strings.HasPrefix(items[key], "likewise") && !strings.HasPrefix(items[key], "password of that file") {
				t.Errorf("%s lacks %s", key, c.name)
			}
		}
	}
	for _, word := range []string{cosmosScope, "ErrPasswordInDSN", "ErrInsecureTLS", "PGPASSWORD", ".pgpass", "passfile", "azure", "pool_"} {
		if !strings.Contains(text, word) {
			t.Errorf("the doc lacks %s", word)
		}
	}
}

func TestTableOfKeysIsConsistent(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range dsnKeys {
		if seen[k.name] || k.env != "" && seen[k.env] {
			t.Errorf("%s stands twice in the table", k.name)
		}
		seen[k.name], seen[k.env] = true, k.env != ""
		if (k.get == nil) != (k.set == nil) {
			t.Errorf("%s can only be read or only be set", k.name)
		}
		if k.set == nil {
			continue
		}
		var c Config
		v := k.def
		if v == "" {
			v = "1"
		}
		if k.set(&c, v); k.get(&c) != v {
			t.Errorf("%s: set to %s, got %s", k.name, v, k.get(&c))
		}
		if k.def != "" && k.check != nil && k.check(k.def) != nil {
			t.Errorf("%s refuses its own default", k.name)
		}
	}
	for name := range otherWords {
		if k := dsnKeyIndex[name]; k != nil {
			t.Errorf("%s is a key and another driver's word", name)
		}
	}
}
