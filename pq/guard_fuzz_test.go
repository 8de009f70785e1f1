package pq

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"
)

// serverBytes is a connection on which a server says some bytes, in pieces, and to
// which the client can say what it likes.
type serverBytes struct {
	io.Reader
	sent bytes.Buffer
}

func (c *serverBytes) Write(p []byte) (int, error)      { return c.sent.Write(p) }
func (c *serverBytes) Close() error                     { return nil }
func (c *serverBytes) LocalAddr() net.Addr              { return nil }
func (c *serverBytes) RemoteAddr() net.Addr             { return nil }
func (c *serverBytes) SetDeadline(time.Time) error      { return nil }
func (c *serverBytes) SetReadDeadline(time.Time) error  { return nil }
func (c *serverBytes) SetWriteDeadline(time.Time) error { return nil }

// Whatever a server says, the token leaves only after a request for a cleartext
// password was the first thing that it said, notices and the protocol's version
// apart; and what lib/pq reads does not hold it.
func FuzzGuard(f *testing.F) {
	const token = "THE-TOKEN"
	request := said(msgAuthentication, "\x00\x00\x00\x03")
	letIn := append(said(msgAuthentication, "\x00\x00\x00\x00"), idle...)
	f.Add(append(bytes.Clone(request), letIn...))
	f.Add(append(append(append(bytes.Clone(request), letIn...), refusedWrite...), idle...))
	f.Add(append(bytes.Clone(request), said(msgError, "SFATAL\x00C28P01\x00Mno "+token+"\x00\x00")...))
	f.Add(said(msgAuthentication, "\x00\x00\x00\x05salt"))
	f.Add(letIn)
	f.Add([]byte{msgError, 0, 0, 0, 0})
	f.Add([]byte{msgError, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, says []byte) {
		conn := &serverBytes{Reader: iotest.HalfReader(bytes.NewReader(says))}
		g := newGuard(conn, token)
		g.demotion = new(demotion)
		_, _ = g.Write([]byte{0, 0, 0, 8, 0, 3, 0, 0})
		var read []byte
		p := make([]byte, 64)
		for g.state != over {
			n, err := g.Read(p)
			read = append(read, p[:n]...)
			if err != nil {
				break
			}
			if g.state == asked {
				_, _ = g.Write(said(msgPassword, placeholder+"\x00"))
			}
		}
		_, _ = io.Copy(io.Discard, g)
		first := withoutPreface(says)
		asked := len(first) >= len(request) && first[0] == msgAuthentication && bytes.Equal(first[5:9], request[5:])
		if sent := bytes.Contains(conn.sent.Bytes(), []byte(token)); sent && !asked {
			t.Error("the token was sent to a server that had not asked for it")
		}
		if bytes.Contains(read, []byte(token)) && g.state < in {
			t.Errorf("lib/pq was shown the token: %q", read)
		}
	})
}

// withoutPreface leaves out what may come before a request for a password.
func withoutPreface(says []byte) []byte {
	for len(says) >= 5 && (says[0] == msgNotice || says[0] == msgNegotiateVersion) {
		n := int(says[1])<<24 | int(says[2])<<16 | int(says[3])<<8 | int(says[4])
		if n < 4 || n+1 > len(says) {
			return says
		}
		says = says[n+1:]
	}
	return says
}
