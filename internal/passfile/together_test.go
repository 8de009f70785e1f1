package passfile

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Two processes with the same -out, while one takes the other's place for instance: the
// file is that of one of them, whole, and that one knows it as its own.
func TestTwoThatWriteTheSameFileLeaveOneWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgpass")
	contents := []string{strings.Repeat("a", 20_000), strings.Repeat("b", 30_000)}
	for range 200 {
		var written [2]os.FileInfo
		var both sync.WaitGroup
		for i := range written {
			both.Go(func() {
				var err error
				if written[i], err = replace(path, contents[i]); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		got, err := os.ReadFile(path)
		if s := string(got); err != nil || s != contents[0] && s != contents[1] {
			t.Fatalf("read %d bytes, %v; want one of the two files", len(got), err)
		}
		if now, err := os.Lstat(path); err != nil || !os.SameFile(now, written[0]) && !os.SameFile(now, written[1]) {
			t.Fatalf("the file is nobody's, and would stay: %v", err)
		}
		if t.Failed() {
			return
		}
	}
	if files := namesIn(t, filepath.Dir(path)); len(files) != 1 {
		t.Errorf("the directory holds %q", files)
	}
}
