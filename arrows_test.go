package azurepg

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of arrows: which room may import what. A newcomer can rely on them
// to know where a thing can be.
func TestArrows(t *testing.T) {
	const module = "github.com/azurepg/azurepg"
	only := map[string][]string{ // imported package → the files that may
		"github.com/Azure/azure-sdk-for-go/sdk/azidentity": {"credential.go"},
		"github.com/jackc/pgx/":                            {"pgx.go", "pgx_attempt.go", "pgx_pool.go", "config.go"}, // config.go for the type of ConfigurePgx
		"github.com/lib/pq":                                {},
		module + "/azurepgtest":                            {},
		module + "/internal/testroute":                     {"credential.go"},
		module + "/internal/jwt":                           {"claims.go"},
		module + "/doctor":                                 {},
		module + "/internal/transcript":                    {},
		module + "/internal/loopback":                      {},
		module + "/internal/proxy":                         {},
	}
	noDatabase := []string{"log.go", "tokensource.go", "sharing.go", "claims.go", "credential.go"}
	for _, file := range goFiles(t, ".") {
		for _, path := range importsOf(t, file) {
			for prefix, files := range only {
				if strings.HasPrefix(path, prefix) && !slices.Contains(files, file) {
					t.Errorf("%s imports %s; only %v may", file, path, files)
				}
			}
			pure := slices.Contains(noDatabase, file) || strings.HasPrefix(file, "dsn") || strings.HasPrefix(file, "redact") || strings.HasPrefix(file, "refresh")
			if pure && strings.HasPrefix(path, "database/sql") {
				t.Errorf("%s imports %s; it must know nothing of databases", file, path)
			}
			if strings.HasPrefix(file, "dsn") && slices.Contains([]string{"net/http", "time/tzdata", "os/exec"}, path) {
				t.Errorf("%s imports %s; reading a DSN asks nobody", file, path)
			}
		}
	}
	for _, file := range goFiles(t, "pq") {
		for _, path := range importsOf(t, file) {
			if strings.HasPrefix(path, "github.com/jackc/pgx/") || strings.HasPrefix(path, "github.com/Azure/") || strings.HasPrefix(path, module+"/") && path != module+"/internal/hostlist" {
				t.Errorf("%s imports %s; a base knows its driver and the root", file, path)
			}
		}
	}
	for _, file := range goFiles(t, "internal/proxy") {
		for _, path := range importsOf(t, file) {
			switch {
			case path == module || path == module+"/internal/hostlist" || path == "github.com/jackc/pgx/v5/pgproto3":
			case strings.HasPrefix(path, "github.com/"):
				t.Errorf("%s imports %s; the proxy knows the root, and of pgx only the protocol's messages", file, path)
			}
		}
	}
	for _, file := range goFiles(t, "tlsfiles") {
		for _, path := range importsOf(t, file) {
			if strings.Contains(path, ".") && !strings.HasPrefix(path, module+"/internal/") {
				t.Errorf("%s imports %s; tlsfiles needs nothing but the standard library", file, path)
			}
		}
	}
	for _, file := range goFiles(t, "doctor") {
		for _, path := range importsOf(t, file) {
			pgx := strings.HasPrefix(path, "github.com/jackc/pgx/") && file == filepath.Join("doctor", "pooler.go")
			ours := path == module || path == module+"/internal/jwt" || path == module+"/internal/foreign"
			if strings.Contains(path, ".") && !ours && !pgx {
				t.Errorf("%s imports %s; doctor goes by what the root says, and asks pgx in pooler.go", file, path)
			}
		}
	}
	for _, file := range goFiles(t, filepath.Join("cmd", "azurepg")) {
		for _, path := range importsOf(t, file) {
			if strings.Contains(path, ".") && !strings.HasPrefix(path, module) || path == module+"/azurepgtest" {
				t.Errorf("%s imports %s; a command stands on the packages of this module", file, path)
			}
		}
	}
	for _, file := range goFiles(t, "azurepgtest") {
		for _, path := range importsOf(t, file) {
			azcore := strings.HasPrefix(path, "github.com/Azure/azure-sdk-for-go/sdk/azcore")
			switch {
			case azcore && file == filepath.Join("azurepgtest", "credential.go"): // whose type Credential implements
			case path == module || strings.HasPrefix(path, "github.com/Azure/"):
				t.Errorf("%s imports %s; the test kit stands beside what it tests", file, path)
			}
		}
	}
}

func goFiles(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	return slices.DeleteFunc(all, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
}

func importsOf(t *testing.T, file string) []string {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
