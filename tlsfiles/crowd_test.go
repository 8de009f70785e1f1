package tlsfiles

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// While files cannot serve, or have just changed, everybody who looks reads them: no
// more than he would alone, however many others do.
func TestCrowdThatFindsAChangeReadsItOnceEach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	const crowd, readingsOfOne = 8, 3 // of a file that changes with every reading, as this one
	var readings atomic.Int32
	var all sync.WaitGroup
	all.Add(crowd)
	w := &watched[int32]{files: []file{{path: path, name: "CAFile"}}, logger: slog.New(slog.DiscardHandler)}
	w.parse = func(files []file, contents [][]byte) (int32, *Error) { return int32(len(contents[0])), nil }
	if err := w.first(); err != nil {
		t.Fatal(err)
	}
	w.parse = func(files []file, contents [][]byte) (int32, *Error) {
		n := readings.Add(1)
		if n <= crowd { // nobody is first
			all.Done()
			all.Wait()
		}
		if err := os.WriteFile(path, make([]byte, 1+n), 0o600); err != nil {
			t.Error(err)
		}
		if n%2 == 0 {
			return 0, files[0].errorf("it cannot serve")
		}
		return n, nil
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var looking sync.WaitGroup
	for range crowd {
		looking.Go(func() {
			if w.get() == 0 {
				t.Error("what cannot serve is in use")
			}
		})
	}
	looking.Wait()
	if n := readings.Load(); n > crowd*readingsOfOne {
		t.Errorf("%d readings by %d; want no more than %d", n, crowd, crowd*readingsOfOne)
	}
}
