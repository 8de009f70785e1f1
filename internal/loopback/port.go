// Package loopback has ports of 127.0.0.1 for servers of tests that cannot ask for any
// themselves or come back at the one they had, and ones at which nobody listens.
package loopback

import (
	"strconv"
	"testing"
)

// HeldPort returns a port that is held until the test ends.
func HeldPort(tb testing.TB) string {
	tb.Helper()
	port, release, err := HoldPort()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := release(); err != nil {
			tb.Error(err)
		}
	})
	return strconv.Itoa(port)
}
