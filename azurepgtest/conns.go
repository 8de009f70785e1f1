package azurepgtest

import (
	"net"
	"sync"
	"time"
)

// conns are the connections of a listener. Each has a goroutine that serves it.
type conns struct {
	mu     sync.Mutex        // guards all below
	open   map[net.Conn]bool // whether it has been killed
	idle   chan struct{}     // closed when the last one is served; nil if there was none
	closed bool
}

// accept serves each connection of l in a goroutine, until l is closed.
func (c *conns) accept(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if !c.add(conn) {
			conn.Close()
			return
		}
		go func() {
			defer c.remove(conn)
			serve(conn)
		}()
	}
}

func (c *conns) add(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if len(c.open) == 0 {
		c.open = make(map[net.Conn]bool)
		c.idle = make(chan struct{})
	}
	c.open[conn] = false
	return true
}

func (c *conns) remove(conn net.Conn) {
	conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.open, conn); len(c.open) == 0 {
		close(c.idle)
	}
}

// kill resets all open connections and returns how many they were, without those that it
// has reset before and whose goroutines have not noticed yet.
func (c *conns) kill() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	killed := 0
	for conn, before := range c.open {
		if before {
			continue
		}
		c.open[conn] = true
		killed++
		if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
			tcp.SetLinger(0) // else the peer sees an end
		}
		conn.Close()
	}
	return killed
}

// wait waits until no connection is open, for d at most.
func (c *conns) wait(d time.Duration) {
	c.mu.Lock()
	idle := c.idle
	c.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// close resets all connections and waits for their goroutines.
func (c *conns) close() {
	c.mu.Lock()
	c.closed = true
	idle := c.idle
	c.mu.Unlock()
	c.kill()
	if idle != nil {
		<-idle
	}
}
