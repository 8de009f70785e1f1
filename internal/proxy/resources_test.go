package proxy_test

import (
	"os"
	"runtime"
	"testing"
)

// leavesNothing fails the test if at its end, when its proxy has ended, more goroutines or file
// descriptors are open than now. What others of the process still close counts for nothing.
func leavesNothing(tb testing.TB) {
	tb.Helper()
	tokens := sharedAzure(tb).Entra.Transport() // which keeps connections
	tokens.CloseIdleConnections()
	goroutines, files := runtime.NumGoroutine(), openFiles(tb)
	tb.Cleanup(func() {
		eventually(tb, "all goroutines and file descriptors are gone", func() bool {
			tokens.CloseIdleConnections()
			return runtime.NumGoroutine() <= goroutines && openFiles(tb) <= files
		})
	})
}

// openFiles counts file descriptors, on Linux.
func openFiles(tb testing.TB) int {
	tb.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(files)
}
