package pq

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/lib/pq"
)

// dialer gives lib/pq the connection that it logs in on, and after that a new one
// for each cancel request, for as long as the session lasts.
type dialer struct {
	login   *guard // nil: lib/pq has it
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	address string
}

var (
	_ pq.Dialer        = (*dialer)(nil)
	_ pq.DialerContext = (*dialer)(nil) // what lib/pq really calls
)

// DialContext ignores where lib/pq wants to: its idea of a unix socket is not ours.
func (d *dialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if g := d.login; g != nil {
		d.login = nil
		return g, nil
	}
	conn, err := d.dial(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	// lib/pq waits for the server to hang up, and the query waits for lib/pq.
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	return &canceller{conn}, nil
}

// Dial is DialContext without a context.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout is DialContext with a timeout.
func (d *dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// canceller is a connection on which nothing but a cancel request leaves.
type canceller struct{ net.Conn }

// Write writes a cancel request.
func (c *canceller) Write(p []byte) (int, error) {
	if startupCode(p) != cancelRequest {
		return 0, errors.New("azurepg: lib/pq wanted to send what is no cancel request")
	}
	return c.Conn.Write(p)
}
