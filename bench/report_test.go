package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestQuantilesAreBetweenTheValues(t *testing.T) {
	s := sample{4, 1, 3, 2}
	for q, want := range map[float64]float64{0: 1, 0.25: 1.75, 0.5: 2.5, 1: 4} {
		if got := s.quantile(q); got != want {
			t.Errorf("%v: %v; want %v", q, got, want)
		}
	}
	if got := (sample{}).quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	if got := (sample{2, 9}).over(sample{1, 3, 5}); got[0] != 2 || got[1] != 3 || len(got) != 2 {
		t.Errorf("ratios %v", got)
	}
}

// Of samples from a distribution with a long tail and the median 1, 95 in 100 intervals hold that.
func TestIntervalHoldsTheMedian(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const of = 2000
	held := 0
	for range of {
		var s sample
		for range 41 {
			u := random.Float64()
			s = append(s, u/(1-u)) // log-logistic
		}
		if low, high := s.interval(); low <= 1 && 1 <= high {
			held++
		}
	}
	if held < of*93/100 || held > of*99/100 {
		t.Errorf("%d of %d intervals hold the median", held, of)
	}
}

// Rounds that hold more than the queries themselves, as on a busy machine, and one that
// holds less, are followed by others, until the usual allocations of both are seen. What is
// really more stays so.
func TestRoundsGoOnUntilAllocationsAreSeenOrRefuted(t *testing.T) {
	const planned, busy, usual, lucky = 15, 40, 23, 7
	measured := func(more float64) (rounds int, same bool) {
		limit, ours := sample{usual - lucky}, sample{usual + more + 5}
		rows := []*queryRow{{name: pgxLimit}, {name: viaAzurepg, limit: pgxLimit}}
		see := func() bool {
			rows[0].allocs, rows[1].allocs = map[string]sample{}, map[string]sample{}
			for _, q := range queries {
				rows[0].allocs[q.name], rows[1].allocs[q.name] = limit, ours
			}
			return agree(rows, viaAzurepg)
		}
		for rounds = 1; another(rounds, planned, see); rounds++ {
			limit = append(limit, usual)
			if rounds < busy {
				ours = append(ours, usual+more+5)
			} else {
				ours = append(ours, usual+more)
			}
		}
		return rounds, see()
	}
	if rounds, same := measured(0); !same || rounds <= busy || rounds > busy+10 {
		t.Errorf("of the same two agree: %v, after %d rounds; want true, soon after %d", same, rounds, busy)
	}
	if rounds, same := measured(1); same || rounds != planned+further {
		t.Errorf("of one more two agree: %v, after %d rounds; want false after %d", same, rounds, planned+further)
	}
}

func TestInitializationIsAddedUp(t *testing.T) {
	ms, heap, allocs, err := sumInits("init errors @0.004 ms, 0.25 ms clock, 16 bytes, 1 allocs\nsomething else\ninit os @0.12 ms, 0.5 ms clock, 100 bytes, 3 allocs\n")
	if err != nil || ms != 0.75 || heap != 116 || allocs != 4 {
		t.Errorf("%v ms, %v bytes, %v allocations, %v", ms, heap, allocs, err)
	}
	if _, _, _, err := sumInits("nothing"); err == nil {
		t.Error("no error without a trace")
	}
}

func exampleReport() *report {
	r := newReport("15.0 (Debian)")
	r.add(&table{title: "Queries", note: "Medians.", head: []string{"", "time"}, rows: [][]string{{viaAzurepg, "1 ms"}}})
	r.aim("time", "at most 1", "2", false)
	r.hold("allocations", "0", "0", true)
	return r
}

func TestReportSaysWhichTargetIsMissed(t *testing.T) {
	var text, md strings.Builder
	r := exampleReport()
	if err := errors.Join(r.publish(&text, options{}), r.publish(&md, options{markdown: true})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PostgreSQL 15.0,", "time         at most 1  2         MISSED", "allocations  0          0         met", "azurepg  1 ms"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, &text)
		}
	}
	for _, want := range []string{"### Queries\n\nMedians.\n\n|  | time |\n|---|---|\n| azurepg | 1 ms |\n", "| time | at most 1 | 2 | MISSED |"} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("the Markdown lacks %q:\n%s", want, &md)
		}
	}
}

func TestPageKeepsWhatStandsAroundTheTables(t *testing.T) {
	page := filepath.Join(t.TempDir(), "bench.md")
	if err := os.WriteFile(page, []byte("# Before\n"+beginMark+"old\n"+endMark+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceIn(page, exampleReport().markdown()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(got); !strings.HasPrefix(s, "# Before\n"+beginMark) || !strings.HasSuffix(s, endMark+"after\n") || strings.Contains(s, "old") || !strings.Contains(s, "### Queries") {
		t.Errorf("got\n%s", s)
	}
	if err := os.WriteFile(page, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceIn(page, exampleReport().markdown()); err == nil {
		t.Error("no error for a page without marks")
	}
}

// The committed pages are such as make bench-docs can write.
func TestPagesOfTheRepositoryHaveTheMarks(t *testing.T) {
	for _, file := range []string{"../docs/bench.md", "../README.md"} {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if before, rest, ok := strings.Cut(string(page), beginMark); !ok || before == "" || !strings.Contains(rest, endMark) {
			t.Errorf("%s lacks the marks", file)
		}
	}
}

// The README's figures are those of docs/bench.md, written by the same run.
func TestReadmeHasTheFiguresOfThePage(t *testing.T) {
	between := func(file string) string {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(page), beginMark)
		text, _, _ := strings.Cut(rest, endMark)
		return text
	}
	r := new(report)
	for _, section := range strings.Split(between("../docs/bench.md"), "\n### ")[1:] {
		title, rest, _ := strings.Cut(section, "\n")
		page := &table{title: title}
		for line := range strings.Lines(rest) {
			if cells, ok := strings.CutPrefix(line, "| "); ok {
				page.rows = append(page.rows, strings.Split(strings.TrimSuffix(strings.TrimSpace(cells), " |"), " | "))
			}
		}
		r.add(page)
	}
	if got, want := between("../README.md"), r.excerpt().markdown(); got != want {
		t.Errorf("the README has\n%s\nthe page says\n%s", got, want)
	}
	for _, row := range r.excerpt().rows {
		if row[0] == viaAzurepg && slices.Contains(row, "–") {
			t.Errorf("a figure of azurepg is missing: %v", row)
		}
	}
}

func TestPlotIsSVGThatSaysWhoIsWho(t *testing.T) {
	r := exampleReport()
	if err := r.draw(filepath.Join(t.TempDir(), "plot.svg")); err == nil {
		t.Error("no error without the section outage")
	}
	r.outage = &outage{script: fullScript}
	for _, style := range plotted {
		s := &series{name: style.name}
		for at := time.Duration(0); at < fullScript.end(); at += time.Second {
			p := point{at: at, took: 5 * time.Millisecond}
			if at > fullScript.down() && style.name != viaAzurepg {
				p.err = errors.New("no token")
			}
			s.points = append(s.points, p)
		}
		r.outage.series = append(r.outage.series, s)
	}
	file := filepath.Join(t.TempDir(), "plot.svg")
	if err := r.draw(file); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{">" + bySecret + "<", ">" + multiauth + "<", ">" + viaAzurepg + "<", ">failed<", ">10 s<", "fill:#FFFFFF", "slow: 5s", "down: 1m0s"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the plot lacks %q", want)
		}
	}
}
