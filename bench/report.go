package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// A report is what a run has found.
type report struct {
	machine string
	tables  []*table
	targets []target
	outage  *outage // nil: not measured
}

// A table is what a section has found.
type table struct {
	title, note string
	head        []string
	rows        [][]string
}

// A target is what azurepg should keep to.
type target struct {
	what, want, got string
	met             bool
	exact           bool // a count, the same in each run, which the tests hold
}

func newReport(postgres string) *report {
	version, _, _ := strings.Cut(postgres, " ")
	return &report{machine: fmt.Sprintf("%s: %d cores (%s), %s, PostgreSQL %s, %s/%s",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), processor(), runtime.Version(), version, runtime.GOOS, runtime.GOARCH)}
}

// processor is the name of the CPU, where Linux says it.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}

func (r *report) add(t *table) { r.tables = append(r.tables, t) }

// aim adds a target for a time, which only a quiet machine can tell.
func (r *report) aim(what, want, got string, met bool) {
	r.targets = append(r.targets, target{what: what, want: want, got: got, met: met})
}

// hold adds a target for a count.
func (r *report) hold(what, want, got string, met bool) {
	r.targets = append(r.targets, target{what: what, want: want, got: got, met: met, exact: true})
}

// all are the tables, with that of the targets first.
func (r *report) all() []*table {
	if r.targets == nil {
		return r.tables
	}
	t := &table{title: "Targets", head: []string{"what", "target", "measured", ""}}
	for _, target := range r.targets {
		verdict := "met"
		if !target.met {
			verdict = "MISSED"
		}
		t.rows = append(t.rows, []string{target.what, target.want, target.got, verdict})
	}
	return append([]*table{t}, r.tables...)
}

func (r *report) text(out io.Writer) error {
	fmt.Fprintln(out, r.machine)
	for _, t := range r.all() {
		fmt.Fprintf(out, "\n%s\n", t.title)
		if t.note != "" {
			fmt.Fprintf(out, "%s\n", t.note)
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{t.head}, t.rows...) {
			fmt.Fprintf(w, "  %s\n", strings.Join(row, "\t"))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", r.machine)
	for _, t := range r.all() {
		fmt.Fprintf(&b, "\n### %s\n\n", t.title)
		if t.note != "" {
			fmt.Fprintf(&b, "%s\n\n", t.note)
		}
		b.WriteString(t.markdown())
	}
	return b.String()
}

func (t *table) markdown() string {
	var b strings.Builder
	for i, row := range append([][]string{t.head}, t.rows...) {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
	return b.String()
}

// The forms of numbers.

// milliseconds writes a time given in them.
func milliseconds(ms float64) string {
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// nanoseconds writes a time given in them.
func nanoseconds(ns float64) string {
	if ns >= 1e6 {
		return milliseconds(ns / 1e6)
	}
	return fmt.Sprintf("%.0f ns", ns)
}

func microseconds(ns float64) string { return fmt.Sprintf("%.0f µs", ns/1e3) }

// quartiles writes the middle half of s, by form.
func (s sample) quartiles(form func(float64) string) string {
	low, high := form(s.quantile(0.25)), form(s.quantile(0.75))
	if a, unit, ok := strings.Cut(low, " "); ok && strings.HasSuffix(high, " "+unit) {
		low = a // the unit stands once
	}
	return low + " – " + high
}

// ratio writes the median of s, which are ratios, and its interval.
func (s sample) ratio() string {
	low, high := s.interval()
	if s.median() >= 100 {
		return fmt.Sprintf("%.0f (%.0f – %.0f)", s.median(), low, high)
	}
	return fmt.Sprintf("%.2f (%.2f – %.2f)", s.median(), low, high)
}

// whole writes the median of s without a fraction.
func (s sample) whole() string { return fmt.Sprintf("%.0f", math.Round(s.median())) }
