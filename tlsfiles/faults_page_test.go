package tlsfiles

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/internal/explain"
)

// The page's list of failures is made of the table that the errors come from.
func TestPageExplainsFailuresAsTheErrorsDo(t *testing.T) {
	row := func(kind explain.Kind, what string) string {
		means := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(kind.Means(), "…")
		return "| " + strings.TrimPrefix(means, "…: ") + " | " + what + " |"
	}
	want := []string{row(explain.Authority, notInFile)}
	for kind, what := range advice {
		want = append(want, row(kind, what))
	}
	page, err := os.ReadFile("../docs/tls.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n| cause | what to do |\n|---|---|\n")
	section, _, _ = strings.Cut(section, "\n\n")
	got := strings.Split(section, "\n")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the page has the rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
