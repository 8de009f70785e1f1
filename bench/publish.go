package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// publish prints the report, and writes the files that o asks for.
func (r *report) publish(out io.Writer, o options) error {
	write := r.text
	if o.markdown {
		write = func(out io.Writer) error {
			_, err := io.WriteString(out, r.markdown())
			return err
		}
	}
	if err := write(out); err != nil {
		return err
	}
	if o.svg != "" {
		if err := r.draw(o.svg); err != nil {
			return err
		}
	}
	if o.write == "" {
		return nil
	}
	if o.only != "" {
		return errors.New("-write needs all sections: leave -only out")
	}
	if err := r.draw(filepath.Join(o.write, "bench.svg")); err != nil {
		return err
	}
	if err := replaceIn(filepath.Join(o.write, "..", "README.md"), r.excerpt().markdown()); err != nil {
		return err
	}
	return replaceIn(filepath.Join(o.write, "bench.md"), r.markdown())
}

// What make bench-docs writes stands between these lines.
const (
	beginMark = "<!-- bench: begin, written by make bench-docs -->\n"
	endMark   = "<!-- bench: end -->\n"
)

// replaceIn writes text between the marks of file.
func replaceIn(file, text string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s lacks the lines that the tables stand between", file)
	}
	return os.WriteFile(file, []byte(before+beginMark+text+endMark+after), 0o644)
}
