package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
)

// Listen opens the listener that address names.
//
// "unix:PATH" is a unix socket, which nobody but the user of this process can open: it
// has mode 0600 and is in a directory of mode 0700, which is made if it is missing. If
// PATH ends in a slash or is a directory, the socket has libpq's name in it,
// .s.PGSQL.5432, so that clients take the directory for the host. The socket of a proxy
// that has crashed is replaced, and nothing else that is there.
//
// "tcp:HOST:PORT" is a TCP port of the loopback interface; beyond lets HOST be an
// address that other machines reach, or none, which is all.
func Listen(ctx context.Context, address string, beyond bool) (net.Listener, error) {
	network, where, _ := strings.Cut(address, ":")
	switch network {
	case "unix":
		return listenUnix(ctx, where)
	case "tcp":
		host, err := loopback(where)
		if err != nil && !beyond {
			return nil, err
		}
		if err == nil {
			where = host
		}
		return new(net.ListenConfig).Listen(ctx, "tcp", where) // with TCP keep-alive, as Go has it
	}
	// It is not quoted: a DSN in the wrong place may hold a secret.
	return nil, errors.New("that is no address to listen at: unix:PATH or tcp:127.0.0.1:PORT")
}

// loopback returns the address to listen at if it is of the loopback interface.
func loopback(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", errors.New("tcp: takes HOST:PORT, such as tcp:127.0.0.1:5432")
	}
	if strings.EqualFold(host, "localhost") {
		return net.JoinHostPort("127.0.0.1", port), nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return address, nil
	}
	return "", errors.New("the proxy listens at the loopback interface only, where other machines cannot reach it: " +
		"everyone who can connect is logged in (-listen-beyond-this-machine lifts that)")
}
