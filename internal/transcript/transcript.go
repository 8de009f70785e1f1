// Package transcript keeps what tests make programs and loggers print.
package transcript

import (
	"bytes"
	"sync"
)

// A Transcript may be read while it is still being written, by several goroutines at
// once. The zero value is empty.
type Transcript struct {
	mu     sync.Mutex // guards buffer
	buffer bytes.Buffer
}

// Write never fails.
func (t *Transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buffer.Write(p)
}

// String is all of it so far.
func (t *Transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buffer.String()
}

// Take is String, and forgets it.
func (t *Transcript) Take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.buffer.Reset()
	return t.buffer.String()
}
