package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The page is what azurepg says now, and every cure on it helps.
func TestPageSaysWhatAzurepgSays(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the page has Linux's words for a refused connection")
	}
	want, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := write()
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	page := strings.Split(string(want), "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(page) || line != page[i] {
			t.Fatalf("line %d is now\n%s\nmake troubleshooting writes the page anew", i+1, line)
		}
	}
	t.Fatal("the page goes on after its end: make troubleshooting writes it anew")
}

// What is printed as one line is folded for the page, and nothing else.
func TestFoldedKeepsEveryWord(t *testing.T) {
	text := strings.TrimSpace(strings.Repeat("word and wörd ", 40))
	out := folded("    ", text)
	if got := strings.Join(strings.Fields(out), " "); got != text {
		t.Errorf("got %s; want %s", got, text)
	}
	for line := range strings.Lines(out) {
		if len(line) > 121 || !strings.HasPrefix(line, "    w") && !strings.HasPrefix(line, "    a") {
			t.Errorf("line %q", line)
		}
	}
}
