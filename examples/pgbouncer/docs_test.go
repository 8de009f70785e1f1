package main

import (
	"os"
	"strings"
	"testing"
)

// table reads the first table below a heading of docs/pgbouncer.md: by the first cell of
// the row and the heading of the column.
func table(t *testing.T, heading string) map[string]map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/pgbouncer.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n"+heading)
	if !found {
		t.Fatalf("docs/pgbouncer.md has no %q", heading)
	}
	rows := make(map[string]map[string]string)
	var columns []string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") {
			if columns != nil {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case columns == nil:
			columns = cells
		case !strings.HasPrefix(cells[0], "---"):
			rows[cells[0]] = make(map[string]string)
			for i, cell := range cells[1:] {
				rows[cells[0]][columns[i+1]] = cell
			}
		}
	}
	return rows
}
