//go:build race

package pythontest

// With the race detector in the tests, azurepg has it too.
var buildFlags = []string{"-race"}
