package azurepg

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// docPages are the pages but the README, which has tests of its own.
func docPages(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) < 4 {
		t.Fatalf("pages %v, %v", pages, err)
	}
	return append(pages, "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
}

// A page that names a test, a file or a target of make names one that there is.
func TestDocsNameWhatExists(t *testing.T) {
	var code strings.Builder
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			code.WriteString(readText(t, file))
		}
	}
	makefile := "\n" + readText(t, "Makefile")
	for _, page := range docPages(t) {
		for _, m := range codeSpan.FindAllStringSubmatch(readText(t, page), -1) {
			span := m[1]
			if target, ok := strings.CutPrefix(span, "make "); ok {
				if target, _, _ = strings.Cut(target, " "); !strings.Contains(makefile, "\n"+target+":") {
					t.Errorf("%s names make %s, which there is not", page, target)
				}
			}
			if regexp.MustCompile(`^(Test|Fuzz|Example)\w+$`).MatchString(span) && !strings.Contains(code.String(), "func "+span+"(") {
				t.Errorf("%s names %s, which there is not", page, span)
			}
			if regexp.MustCompile(`^[\w*/.]+\.go$`).MatchString(span) {
				if files, err := filepath.Glob(span); err != nil || len(files) == 0 {
					t.Errorf("%s names %s, which there is not: %v", page, span, err)
				}
			}
		}
	}
}

// Links lead to files, and to headings of the page itself.
func TestDocsLinkToWhatExists(t *testing.T) {
	for _, page := range docPages(t) {
		text := readText(t, page)
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			path, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			target := text
			if path != "" {
				file := filepath.Join(filepath.Dir(page), path)
				if _, err := os.Stat(file); err != nil {
					t.Errorf("%s links to %s: %v", page, path, err)
					continue
				}
				if heading != "" {
					target = readText(t, file)
				}
			}
			if heading != "" && !hasHeading(target, heading) {
				t.Errorf("%s links to %s, which has no such heading", page, m[1])
			}
		}
	}
}

// hasHeading makes anchors of headings as GitHub does: of those in use here.
func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") &&
			strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-") == anchor {
			return true
		}
	}
	return false
}
