package azurepgtest

import (
	"archive/tar"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

// archive writes files to an npm archive.
func archive(t *testing.T, files [][2]string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.tgz")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(f)
	w := tar.NewWriter(zipped)
	for _, file := range files {
		if err := w.WriteHeader(&tar.Header{Name: file[0], Mode: 0o755, Size: int64(len(file[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(file[1])); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{w, zipped, f} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func TestUnpackMakesLinksAndLeavesTheRest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	if err := unpack(archive(t, [][2]string{
		{"package/native/lib/libpq.so.5.18", "library"},
		{"package/native/pg-symlinks.json", `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`},
		{"package/dist/index.js", "not needed"},
	}), dir); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "native/lib/libpq.so.5")); string(b) != "library" {
		t.Errorf("the link holds %q, %v; want the library", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "dist")); !os.IsNotExist(err) {
		t.Errorf("dist was unpacked: %v", err)
	}
}

func TestUnpackStaysInItsDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	if err := unpack(archive(t, [][2]string{{"package/native/../../evil", "x"}}), dir); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "evil")); !os.IsNotExist(err) {
		t.Errorf("a file lies outside: %v", err)
	}
}
