package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// Every example has a row in the README's table, and every file that it links to exists.
func TestReadmeListsEveryExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile(`(?m)^\| \[([\w-]+)\]\(`).FindAllSubmatch(readme, -1) {
		listed = append(listed, string(row[1]))
	}
	programs, err := filepath.Glob("*/main.go")
	if err != nil || len(programs) == 0 {
		t.Fatalf("no examples, %v", err)
	}
	for _, program := range programs {
		if name := filepath.Dir(program); !slices.Contains(listed, name) {
			t.Errorf("the README lacks %s", name)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllSubmatch(readme, -1) {
		if _, err := os.Stat(string(link[1])); err != nil {
			t.Errorf("the README links to %s: %v", link[1], err)
		}
	}
}
