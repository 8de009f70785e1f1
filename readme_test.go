package azurepg

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every line of Go in the README stands in a Go file that is compiled, and
// every file that it links to exists.
func TestReadmeShowsCodeUnderTest(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, pattern := range []string{"*_test.go", "examples/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(src)
		}
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) == 0 {
		t.Error("the README shows no code")
	}
	for _, block := range blocks {
		for line := range strings.Lines(string(block[1])) {
			if line = strings.TrimSpace(line); line != "" && !strings.Contains(code.String(), line) {
				t.Errorf("no Go file holds the README's line %s", line)
			}
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllSubmatch(readme, -1) {
		if path := string(link[1]); !strings.Contains(path, "://") {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the README links to %s: %v", path, err)
			}
		}
	}
	for _, name := range regexp.MustCompile("`((?:Example|Test)\\w+)`").FindAllSubmatch(readme, -1) {
		if !strings.Contains(code.String(), "func "+string(name[1])+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

// The defaults in the README's table of keys are those of the code.
func TestReadmeDefaultsAreTheCodes(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*\\| `([^`]+)`[^|]*\\|$").FindAllSubmatch(readme, -1)
	if len(rows) < 6 {
		t.Errorf("only %d keys of the README have a default", len(rows))
	}
	for _, row := range rows {
		key := dsnKeyIndex[string(row[1])]
		if key == nil || key.def != string(row[2]) {
			t.Errorf("the README's default of %s is %s; in the code it is %+v", row[1], row[2], key)
		}
	}
}
