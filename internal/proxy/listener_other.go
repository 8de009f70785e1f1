//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package proxy

import (
	"context"
	"errors"
	"net"
)

// listenUnix returns an error: who else can open a socket is not known here.
func listenUnix(context.Context, string) (net.Listener, error) {
	return nil, errors.New("unix sockets cannot be closed to other users on this system: use tcp:127.0.0.1:PORT")
}
