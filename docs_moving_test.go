package azurepg

import (
	"regexp"
	"strings"
	"testing"
)

// holdsGroups reports whether source has the lines of a diff that begin with one
// of the marks. A blank line parts what stands apart in the source too.
func holdsGroups(source, diff, marks string) bool {
	for group := range strings.SplitSeq(diff, "\n\n") {
		var want strings.Builder
		for line := range strings.Lines(group) {
			if strings.ContainsRune(marks, rune(line[0])) {
				want.WriteString(line[1:])
			}
		}
		if want.Len() == 0 || !strings.Contains(source, "\n"+strings.TrimSuffix(want.String(), "\n")+"\n") {
			return false
		}
	}
	return true
}

// What the page on moving shows as before and after are parts of two files that
// are compiled and run.
func TestMovingPageShowsCodeUnderTest(t *testing.T) {
	page := readText(t, "docs/moving.md")
	before, after := readText(t, "examples/moving/before.go"), readText(t, "examples/moving/after.go")
	diffs := regexp.MustCompile("(?s)```diff\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(diffs) < 6 {
		t.Errorf("only %d times before and after", len(diffs))
	}
	for _, m := range diffs {
		if !holdsGroups(before, m[1], "- ") {
			t.Errorf("before.go does not hold the lines - of\n%s", m[1])
		}
		if !holdsGroups(after, m[1], "+ ") {
			t.Errorf("after.go does not hold the lines + of\n%s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(after, m[1]) {
			t.Errorf("after.go does not hold\n%s", m[1])
		}
	}
}

// azureHostName is what the page on moving calls HOST.
const azureHostName = "mydb.postgres.database.azure.com"

var codeSpan = regexp.MustCompile("`([^`]+)`")

// movingRows returns the cells of the rows below the heading of a table.
func movingRows(t *testing.T, heading string) [][]string {
	t.Helper()
	_, table, ok := strings.Cut(readText(t, "docs/moving.md"), heading+"\n")
	if !ok {
		t.Fatalf("docs/moving.md has no table %s", heading)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var rows [][]string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if strings.Contains(line, "`") {
			rows = append(rows, cells)
		}
	}
	if len(rows) < 5 {
		t.Fatalf("only %d rows under %s", len(rows), heading)
	}
	return rows
}

// codeIn is the first code in a cell, with HOST filled in.
func codeIn(cell string) string {
	m := codeSpan.FindStringSubmatch(cell)
	if m == nil {
		return ""
	}
	return strings.ReplaceAll(m[1], "HOST", azureHostName)
}

// isDSN tells a DSN from other code.
func isDSN(code string) bool {
	return strings.Contains(code, "://") || strings.HasPrefix(code, "host=")
}

func TestMovingPageSaysWhatADSNIsRefusedWith(t *testing.T) {
	noPGVariables(t)
	for _, cells := range movingRows(t, "| before | what azurepg says | write |") {
		if len(cells) != 3 {
			t.Errorf("%d cells: %s", len(cells), cells)
			continue
		}
		dsn, says, write := codeIn(cells[0]), codeIn(cells[1]), codeIn(cells[2])
		if _, err := (Driver{}).OpenConnector(dsn); err == nil || err.Error() != says {
			t.Errorf("%s\n gives %v\n the page says %s", dsn, err, says)
		}
		if !isDSN(write) {
			continue
		}
		if _, err := (Driver{}).OpenConnector(write); err != nil {
			t.Errorf("%s is to be written, and gives %v", write, err)
		}
	}
}

func TestMovingPageSaysWhatADSNMeans(t *testing.T) {
	for _, cells := range movingRows(t, "| DSN | the same as |") {
		if len(cells) != 2 {
			t.Errorf("%d cells: %s", len(cells), cells)
			continue
		}
		var meant [2]string
		for i, cell := range cells {
			c, err := parseDSN(codeIn(cell), stubSource(nil, nil))
			if err != nil {
				t.Fatalf("%s: %v", codeIn(cell), err)
			}
			meant[i] = c.FormatDSN()
		}
		if meant[0] != meant[1] {
			t.Errorf("%s means\n%s; that of %s is\n%s", codeIn(cells[0]), meant[0], codeIn(cells[1]), meant[1])
		}
	}
}

// Every DSN that stands alone in the text works, for a pool of pgx at least.
func TestMovingPageHasDSNsThatWork(t *testing.T) {
	noPGVariables(t)
	scopes, n := map[string]int{}, 0
	for line := range strings.Lines(readText(t, "docs/moving.md")) {
		if strings.HasPrefix(line, "|") {
			continue
		}
		for _, m := range codeSpan.FindAllString(line, -1) {
			dsn := codeIn(m)
			if !strings.HasPrefix(dsn, "postgres://") {
				continue
			}
			n++
			cfg, err := ParseDSN(dsn)
			if err != nil {
				t.Errorf("%s: %v", dsn, err)
				continue
			}
			scopes[cfg.Scope]++
			c, err := NewConnector(cfg)
			if err == nil {
				_, err = c.PoolConfig()
			}
			if err != nil {
				t.Errorf("%s: %v", dsn, err)
			}
		}
	}
	if n < 6 || scopes[cosmosScope] != 1 || scopes[cosmosScope]+scopes[databaseScopes[cloudPublic]] != n {
		t.Errorf("%d DSNs, of scopes %v; want one of Cosmos DB among them", n, scopes)
	}
}

func noPGVariables(t *testing.T) {
	t.Helper()
	for _, k := range dsnKeys {
		if k.env != "" {
			t.Setenv(k.env, "")
		}
	}
}
