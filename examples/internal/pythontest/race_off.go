//go:build !race

package pythontest

var buildFlags []string
