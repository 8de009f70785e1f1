package child

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/azurepg/azurepg/internal/transcript"
)

// An Output collects what is printed, by several at once if need be.
type Output struct{ transcript.Transcript }

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
