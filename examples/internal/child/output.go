package child

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// An Output collects what is printed, by several at once if need be.
type Output struct {
	mu     sync.Mutex // guards buffer
	buffer bytes.Buffer
}

// Write never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

// String is all of it so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// Printf makes an Output a logger of go-redis.
func (o *Output) Printf(_ context.Context, format string, args ...any) {
	fmt.Fprintf(o, format+"\n", args...)
}

// Until waits for something that another process or goroutine does, as long as a busy
// machine may need.
func Until(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatal("waited in vain for " + what)
		}
	}
}
