//go:build !linux

package loopback

import "net"

// HoldPort returns a port of 127.0.0.1 that is free at the moment. It holds nothing:
// elsewhere than on Linux a bound socket can keep others from listening.
func HoldPort() (port int, release func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	return l.Addr().(*net.TCPAddr).Port, func() error { return nil }, l.Close()
}
