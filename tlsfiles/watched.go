package tlsfiles

import (
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// watched is what one or two files hold, kept up to date by whoever asks: nobody
// else looks.
type watched[T any] struct {
	files  []file
	parse  func(files []file, contents [][]byte) (T, *Error)
	logger *slog.Logger
	last   atomic.Pointer[reading[T]]
}

// reading is one look at the files. It does not change.
type reading[T any] struct {
	looks []look
	value T      // the last that was good
	fresh bool   // it is of this reading
	err   *Error // why what the files hold now cannot serve; nil: it does
}

// first reads the files for the first time.
func (w *watched[T]) first() error {
	r := w.read(&reading[T]{})
	if r.err != nil {
		return r.err
	}
	w.last.Store(r)
	return nil
}

// get returns the last value that was good. It takes no lock: whoever finds the files
// changed reads them, and the first one's reading stays.
func (w *watched[T]) get() T {
	old := w.last.Load()
	if old.err == nil && w.unchanged(old.looks) {
		return old.value
	}
	next := w.read(old)
	switch {
	case w.last.CompareAndSwap(old, next):
		if next.err == nil || old.err == nil || old.err.Error() != next.err.Error() {
			logChange(w.logger, w.files, next.fresh, next.err)
		}
	case next.err != nil: // somebody was faster, and may have found something better
		return w.last.Load().value
	}
	return next.value
}

// unchanged reports whether the files surely hold what they did.
func (w *watched[T]) unchanged(looks []look) bool {
	for i := range looks {
		if !looks[i].settled || !looks[i].still(w.files[i].path) {
			return false
		}
	}
	return true
}

// read reads the files, anew if one of them changes meanwhile: a certificate of
// before such a change does not fit a key of after it.
func (w *watched[T]) read(old *reading[T]) (r *reading[T]) {
	const attempts = 3
	for range attempts {
		r = w.readOnce(old)
		moved := false
		for i := range r.looks {
			moved = moved || !r.looks[i].still(w.files[i].path)
		}
		if !moved {
			break
		}
	}
	return r
}

func (w *watched[T]) readOnce(old *reading[T]) *reading[T] {
	r := &reading[T]{value: old.value}
	contents := make([][]byte, len(w.files))
	same := len(old.looks) == len(w.files)
	for i, f := range w.files {
		content, l, err := f.read()
		if err != nil {
			r.err = err
			return r
		}
		contents[i], r.looks = content, append(r.looks, l)
		same = same && l.sum == old.looks[i].sum
	}
	if same {
		r.err = old.err
		return r
	}
	value, err := w.parse(w.files, contents)
	if r.err = err; err == nil {
		r.value, r.fresh = value, true
	}
	return r
}

// look is how a file looked when it was read.
type look struct {
	info fs.FileInfo
	sum  [32]byte // SHA-256 of the content
	// settled: the file's time was not so near that a change after the reading
	// could have the same.
	settled bool
}

// recent is the coarsest step of the times of files: FAT's.
const recent = 2 * time.Second

// still reports whether the file at path looks as it did, symbolic links followed.
func (l *look) still(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() == l.info.Size() && info.Mode() == l.info.Mode() &&
		info.ModTime().Equal(l.info.ModTime()) && os.SameFile(info, l.info)
}
