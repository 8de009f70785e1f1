package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is exported is promised. A line that is gone breaks programs: it needs a reason,
// an entry under Removed or Changed in CHANGELOG.md and, from v1 on, another version of
// the module. A new one wants to be seen as well.
func TestExportedNamesAreAsPromised(t *testing.T) {
	root := filepath.Join("..", "..")
	promised, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(promised)), "\n")
	got, err := surface(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range missing(want, got) {
		t.Errorf("incompatible, gone: %s", line)
	}
	for _, line := range missing(got, want) {
		t.Errorf("new: %s", line)
	}
	if t.Failed() {
		t.Log("make api writes " + file + " anew")
	}
}

func TestLinesSayWhatACallerReliesOn(t *testing.T) {
	dir := t.TempDir()
	source := `package p
import "io"
// Doc.
type (
	T struct { A, B int; hidden string; F func(x int) error; io.Reader; *hiding }
	I interface { M(a, b string) (n int, err error); io.Closer }
	F func(name string) (err error)
	Alias = T
	hiding struct{ X int }
)
const C, d = "c", 2
var E, f = 1, 2
func New(a, b int, opts ...func(*T)) (*T, error) { return nil, nil }
func (t *T) Do() {}
func (t *T) do() {}
func (h hiding) Seen() {}
`
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := packageLines("p", dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`pkg p, const C = "c"`,
		"pkg p, func New(int, int, ...func(*T)) (*T, error)",
		"pkg p, method (*T) Do()",
		"pkg p, type Alias = T",
		"pkg p, type F func(string) error",
		"pkg p, type I interface",
		"pkg p, type I interface, M(string, string) (int, error)",
		"pkg p, type I interface, embeds io.Closer",
		"pkg p, type T struct",
		"pkg p, type T struct, A int",
		"pkg p, type T struct, B int",
		"pkg p, type T struct, F func(x int) error",
		"pkg p, type T struct, embeds io.Reader",
		"pkg p, var E",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
