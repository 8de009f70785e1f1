package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// publish prints the report, and writes the files that o asks for.
func (r *report) publish(out io.Writer, o options) error {
	write := r.text
	if o.markdown {
		write = r.markdown
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
	return r.replaceIn(filepath.Join(o.write, "bench.md"))
}

// What make bench-docs writes stands between these lines.
const (
	beginMark = "<!-- bench: begin, written by make bench-docs -->\n"
	endMark   = "<!-- bench: end -->\n"
)

// replaceIn writes the Markdown between the marks of file.
func (r *report) replaceIn(file string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(page, []byte(beginMark))
	_, after, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok || !ok2 {
		return fmt.Errorf("%s lacks the lines that the tables stand between", file)
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(beginMark)
	if err := r.markdown(&b); err != nil {
		return err
	}
	b.WriteString(endMark)
	b.Write(after)
	return os.WriteFile(file, b.Bytes(), 0o644)
}
