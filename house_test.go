package azurepg

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// eachGoFile calls f for every Go file of every module of this repository that
// people write.
func eachGoFile(t *testing.T, f func(path string, text []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "build" || d.Name() == "testdata" || len(d.Name()) > 1 && d.Name()[0] == '.'):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Contains(text, []byte("DO NOT EDIT.\n")) {
			n++
			f(path, text)
		}
		return nil
	})
	if err != nil || n < 200 {
		t.Fatalf("%d files, %v", n, err)
	}
}

// What is longer can be read by nobody at once. A table of test cases has no end that
// anybody needs to keep in mind.
func TestFilesAndFunctionsAreShort(t *testing.T) {
	const fileLines, functionLines = 350, 60
	eachGoFile(t, func(path string, text []byte) {
		if n := bytes.Count(text, []byte("\n")); n > fileLines {
			t.Errorf("%s has %d lines; want at most %d", path, n, fileLines)
		}
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				if n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1; n > functionLines {
					t.Errorf("%s: %s has %d lines; want at most %d", path, f.Name.Name, n, functionLines)
				}
			}
		}
	})
}

// The core is in every program that logs in with it; what examples need is not.
func TestCoreRequiresNoORMBrokerOrTelemetry(t *testing.T) {
	text, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	sums := strings.ToLower(string(text))
	for _, name := range []string{"bun", "gorm", "ent", "sqlx", "goose", "golang-migrate", "opentelemetry", "otel", "prometheus", "redis", "amqp", "rabbitmq",
		"river", "asynq", "machinery", "kafka", "nats", "grpc", "datadoghq", "sentry", "zap", "logrus", "zerolog", "viper", "cobra"} {
		for line := range strings.Lines(sums) {
			module, _, _ := strings.Cut(line, " ")
			for part := range strings.SplitSeq(module, "/") {
				if part == name || strings.HasPrefix(part, name+"-") || strings.HasSuffix(part, "-"+name) {
					t.Errorf("go.sum of the core has %s in it", module)
				}
			}
		}
	}
	for _, name := range []string{"azidentity", "pgx"} {
		if !strings.Contains(sums, "/"+name) {
			t.Errorf("go.sum does not have %s, which is needed: is it read as it should be?", name)
		}
	}
}
