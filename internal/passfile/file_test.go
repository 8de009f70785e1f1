package passfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFilesOfOthersAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(write("own", marker+"\nh:5432:d:u:p\n"), link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want string }{
		{filepath.Join(dir, "new"), ""},
		{filepath.Join(dir, "own"), ""},
		{write("empty", ""), ""},
		{write("pgpass", "h:5432:d:u:HUNTER\n"), "was not written by azurepg passfile"},
		{write("similar", marker+" Not.\nh:5432:d:u:HUNTER\n"), "was not written by azurepg passfile"},
		{dir, "is not a regular file"},
		{link, "is not a regular file"},
		{filepath.Join(dir, "none", "pgpass"), "does not exist"},
	} {
		err := checkPlace(test.path)
		switch {
		case test.want == "":
			if err != nil {
				t.Errorf("%s: %v", test.path, err)
			}
		case err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "HUNTER"):
			t.Errorf("%s: got %v; want … %s", test.path, err, test.want)
		}
	}
}

// Whoever reads meanwhile gets one whole file, that only its owner may read.
func TestReadersSeeTheOldFileOrTheNewOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgpass")
	contents := []string{strings.Repeat("a", 20_000), strings.Repeat("b", 30_000)}
	if _, err := replace(path, contents[0]); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := os.ReadFile(path)
				if s := string(got); err != nil || s != contents[0] && s != contents[1] {
					t.Errorf("read %d bytes, %v; want one of the two files", len(got), err)
					return
				}
			}
		})
	}
	for i := range 100 {
		if _, err := replace(path, contents[i%2]); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
	if mode := modeOf(t, path); mode != 0o600 {
		t.Errorf("mode %o; want 600", mode)
	}
	if files := namesIn(t, filepath.Dir(path)); len(files) != 1 {
		t.Errorf("the directory holds %q", files)
	}
}

// What a crash left half done, readable for others even, does not get in the way.
func TestLeftoverOfACrashIsRemoved(t *testing.T) {
	dir := t.TempDir()
	path, beside := filepath.Join(dir, "pgpass"), filepath.Join(dir, ".pgpass.azurepg-1")
	if err := os.WriteFile(beside, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(beside, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := replace(path, "whole"); err != nil {
		t.Fatal(err)
	}
	if files, mode := namesIn(t, dir), modeOf(t, path); len(files) != 1 || mode != 0o600 {
		t.Errorf("files %q, mode %o", files, mode)
	}
}

func TestFileOfASuccessorIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgpass")
	mine, err := replace(path, "mine")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := replace(path, "theirs")
	if err != nil {
		t.Fatal(err)
	}
	if err := remove(path, mine); err != nil || isGone(path) {
		t.Errorf("%v, gone: %v; want it to stay", err, isGone(path))
	}
	if err := remove(path, theirs); err != nil || !isGone(path) {
		t.Errorf("%v, gone: %v; want it to be gone", err, isGone(path))
	}
	if err := remove(path, theirs); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
