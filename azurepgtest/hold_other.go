//go:build !linux

package azurepgtest

// holdPort holds nothing: elsewhere a bound socket can keep others from listening. Port 0
// is any.
func holdPort() (port int, release func() error, err error) {
	return 0, func() error { return nil }, nil
}
