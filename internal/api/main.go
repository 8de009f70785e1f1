// Command api writes the exported names of every public package of azurepg to
// api/azurepg.txt, a line each, as Go does for its own in api/. A line that goes away,
// or changes, breaks a program somewhere.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const file = "api/azurepg.txt"

func main() {
	lines, err := surface(".")
	if err == nil {
		old, _ := os.ReadFile(file)
		for _, line := range missing(strings.Split(strings.TrimSpace(string(old)), "\n"), lines) {
			fmt.Println("incompatible, gone:", line)
		}
		err = os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// surface returns the lines of all public packages under root, which is the core.
func surface(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	lines, err := packageLines("azurepg", root)
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		_, nested := os.Stat(filepath.Join(dir, "go.mod"))
		if !e.IsDir() || nested == nil || slices.Contains([]string{"internal", "cmd", "testdata"}, e.Name()) {
			continue
		}
		more, err := packageLines(e.Name(), dir)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, err
}

// missing returns the lines of want that have does not have.
func missing(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(line string) bool { return line == "" || slices.Contains(have, line) })
}
