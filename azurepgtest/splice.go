package azurepgtest

import (
	"io"
	"net"
)

// splice copies between a client and a server until both have ended, then closes both.
// The client's end is passed on, so that what is under way to it still arrives.
func splice(client, server net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(client, server)
		// Nobody reads what the client still says.
		closeWrite(client)
		client.Close()
	}()
	if _, err := io.Copy(server, client); err != nil {
		server.Close() // the client was cut off and can take nothing more
	}
	closeWrite(server)
	<-done
	server.Close()
}

func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// A bufferedConn reads from a reader that has read ahead on the connection.
type bufferedConn struct {
	net.Conn
	reader io.Reader
}

func (c *bufferedConn) Read(b []byte) (int, error) { return c.reader.Read(b) }
