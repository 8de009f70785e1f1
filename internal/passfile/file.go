package passfile

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// marker is the first line of every file that this package writes, by which it knows its
// own. To libpq a line that begins with # is none.
const marker = "# Kept fresh by azurepg passfile: other lines are lost."

// checkPlace says whether path can become a passfile: it is not there yet, or is one
// already. A passfile with other lines may hold the only copy of a password.
func checkPlace(path string) error {
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
		// It is not quoted: a DSN in the wrong place may hold a secret.
		return errors.New("the directory of the passfile does not exist: make it, for the passfile to be written there")
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is not a regular file", path)
	case info.Size() == 0:
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if first, _ := bufio.NewReader(f).ReadString('\n'); strings.TrimRight(first, "\r\n") != marker {
		return fmt.Errorf("%q was not written by azurepg passfile, and what stands in it would be lost: choose another file, and name it to the clients in PGPASSFILE", path)
	}
	return nil
}

// replace writes content beside path and renames it, so that a client reads the old file
// or the new one. It returns what was written, to be known again.
func replace(path, content string) (os.FileInfo, error) {
	dir, beside := filepath.Dir(path), "."+filepath.Base(path)+".azurepg-"
	removeLeftovers(dir, beside)
	// It has mode 0600: libpq takes no passfile that others may read. Its name is its own,
	// as another process may write the same passfile at the same time.
	f, err := os.CreateTemp(dir, beside+"*")
	if err != nil {
		return nil, err
	}
	written, err := fill(f, content)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return nil, err
	}
	return written, nil
}

// removeLeftovers removes what crashes have left behind: what is older than any write takes.
func removeLeftovers(dir, prefix string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); strings.HasPrefix(e.Name(), prefix) && err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// fill writes content into f and closes it.
func fill(f *os.File, content string) (_ os.FileInfo, err error) {
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	if _, err := f.WriteString(content); err != nil {
		return nil, err
	}
	// Else a machine that fails may come back with an empty file under the name. The
	// directory is not synced: the old file would do as well.
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return f.Stat()
}

func isGone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// remove removes path if it is still the file that was written, and not that of another
// process which has taken over since.
func remove(path string, written os.FileInfo) error {
	switch now, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !os.SameFile(now, written):
		return nil
	}
	return os.Remove(path)
}
