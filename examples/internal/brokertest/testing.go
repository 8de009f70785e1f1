package brokertest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// Until waits for something that another process or goroutine does, as long as a busy machine
// may need.
func Until(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for end := time.Now().Add(3 * time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatal("waited in vain for " + what)
		}
	}
}

// An Output collects what is printed, by several at once if need be.
type Output struct {
	mu     sync.Mutex
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

// NoLeaks fails the test for each secret of azure in the texts.
func NoLeaks(tb testing.TB, azure *azurepgtest.Server, texts ...string) {
	tb.Helper()
	for _, text := range texts {
		for _, leak := range azure.Leaks(text) {
			tb.Errorf("the output holds %s", leak)
		}
	}
}
