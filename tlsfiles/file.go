package tlsfiles

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/azurepg/azurepg/internal/explain"
)

// file is one of the files, which errors call name.
type file struct {
	path, name string
	secret     bool // nobody else may be able to read it
}

// largest is more than any file of certificates has.
const largest = 8 << 20

// read reads the file, which must be a regular one: those that can be read only once
// cannot be looked at again.
func (f file) read() ([]byte, look, *Error) {
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() { // before opening it, which may block
		return nil, look{}, f.errorf("it is no regular file")
	}
	in, err := os.Open(f.path)
	if err != nil {
		return nil, look{}, f.errorf("%s", explain.File(err))
	}
	defer func() { _ = in.Close() }()
	began := time.Now()
	info, err := in.Stat()
	if err != nil {
		return nil, look{}, f.errorf("%s", explain.File(err))
	}
	if f.secret && tooOpen(info) {
		return nil, look{}, f.errorf("others may read the file: let its mode be 0600 or less, or 0640 if root owns it")
	}
	content, err := io.ReadAll(io.LimitReader(in, largest+1))
	if err != nil {
		return nil, look{}, f.errorf("%s", explain.File(err))
	}
	if len(content) > largest {
		return nil, look{}, f.errorf("the file is larger than %d MB", largest>>20)
	}
	return content, look{info: info, sum: sha256.Sum256(content), settled: settled(info, began)}, nil
}

func settled(info fs.FileInfo, read time.Time) bool {
	return info.ModTime().Before(read.Add(-recent))
}

func (f file) errorf(format string, args ...any) *Error {
	return &Error{f.name, fmt.Errorf(format, args...)}
}
