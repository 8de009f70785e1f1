package loopback

import (
	"os"
	"syscall"
)

// HoldPort returns a free port of 127.0.0.1 that nobody else is given until release. A
// socket is bound to it that does not listen, beside which one that does may be bound if it asks
// for that (SO_REUSEADDR, as servers do); while none is, clients are refused. Without it a
// client might even be given the port for its own and connect to itself.
func HoldPort() (port int, release func() error, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	release = func() error { return os.NewSyscallError("close", syscall.Close(fd)) }
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	var address syscall.Sockaddr
	if err == nil {
		address, err = syscall.Getsockname(fd)
	}
	if err != nil {
		_ = release()
		return 0, nil, os.NewSyscallError("bind", err)
	}
	return address.(*syscall.SockaddrInet4).Port, release, nil
}
