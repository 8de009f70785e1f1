package azurepgtest

import (
	"net"
	"sync"
)

// SetBlackHole says whether all packets between the clients and the server are lost, as
// they are when a network route or a firewall's state goes away: nothing is read or
// written any more, on connections that are open as on new ones, and nobody is told. When
// it ends everything goes on where it stood, logins that have taken longer than a minute
// apart. New connections are accepted by the kernel and then silent, so a client's TCP
// connect succeeds, which it would not across a real black hole. What has been handed to
// the kernel before still arrives, and a write that waits for a client to read is such.
// [Postgres.KillConnections], [Postgres.Stop] and [Server.Close] work meanwhile.
func (p *Postgres) SetBlackHole(on bool) { p.gate.set(on) }

// A gate is what all traffic of some connections passes. The zero gate is open.
type gate struct {
	mu   sync.Mutex    // guards shut
	shut chan struct{} // closed when the gate opens; nil while it is open
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && g.shut == nil:
		g.shut = make(chan struct{})
	case !shut && g.shut != nil:
		close(g.shut)
		g.shut = nil
	}
}

// pass waits until the gate is open, or fails if gone is closed before.
func (g *gate) pass(gone <-chan struct{}) error {
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil {
			return nil
		}
		select {
		case <-shut:
		case <-gone:
			return net.ErrClosed
		}
	}
}

// A gatedListener accepts connections whose traffic passes a gate.
type gatedListener struct {
	net.Listener
	gate *gate
}

func (l gatedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatedConn{Conn: conn, gate: l.gate, gone: make(chan struct{})}, nil
}

// A gatedConn has the methods of a TCP connection that are needed, and not those by which
// data would pass beside the gate (io.ReaderFrom, io.WriterTo).
type gatedConn struct {
	net.Conn
	gate    *gate
	closing sync.Once
	gone    chan struct{} // closed by Close
}

// Read passes the gate before and after: what arrives at a shut gate is not here yet.
func (c *gatedConn) Read(b []byte) (int, error) {
	if err := c.gate.pass(c.gone); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if err := c.gate.pass(c.gone); err != nil {
		return 0, err
	}
	return n, err
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if err := c.gate.pass(c.gone); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *gatedConn) CloseWrite() error {
	if err := c.gate.pass(c.gone); err != nil {
		return err
	}
	return c.Conn.(*net.TCPConn).CloseWrite()
}

// SetLinger serves to reset the connection, which a gate does not hinder.
func (c *gatedConn) SetLinger(seconds int) error { return c.Conn.(*net.TCPConn).SetLinger(seconds) }

func (c *gatedConn) Close() error {
	c.closing.Do(func() { close(c.gone) })
	return c.Conn.Close()
}
