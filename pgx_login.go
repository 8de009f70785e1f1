package azurepg

import (
	"encoding/binary"
	"io"
	"net"
)

// hostLogin is one connection of an attempt: the TCP connection under TLS.
type hostLogin struct {
	net.Conn
	attempt *attempt

	given bool // pgx has the password for it, or had; guarded by attempt.mu, as the next
	sent  bool // the password message has left, or a part of it
	in    bool // and after it another message: the server has let us in

	reader loginReader // of this connection, as the next
	writer loginWriter // its w is nil until then
}

// Close closes the TCP connection. A hook's writer that fails may have kept the
// password from leaving; then pgx closes, and its error must not hold it. A hook's
// reader that reads ahead may come upon the request only now.
func (l *hostLogin) Close() error {
	a := l.attempt
	a.mu.Lock()
	if a.current == l {
		a.takeBack(l)
		a.current = nil
	}
	a.mu.Unlock()
	return l.Conn.Close()
}

// loginReader passes on what the server sends, message by message until one asks for
// the password. So all before it has been understood by pgx when pgx gets the token,
// and nothing but the answer comes next.
type loginReader struct {
	r       io.Reader
	login   *hostLogin // nil: there is nothing to watch any more
	message passing
}

// passwordRequest is AuthenticationCleartextPassword, the whole message.
var passwordRequest = [9]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3}

// Read reads no further than to the end of a message's header or body.
func (r *loginReader) Read(p []byte) (int, error) {
	if r.login == nil {
		return r.r.Read(p)
	}
	m := &r.message
	n, err := r.r.Read(p[:min(len(p), m.end()-m.n)])
	m.add(p[:n])
	switch {
	case m.n < messageHeader:
	case m.end() < messageHeader: // pgx will say so
		r.login = nil
	case m.n == m.end() && m.head == passwordRequest:
		r.login.attempt.give(r.login)
		r.login = nil
	case m.n == m.end():
		*m = passing{}
	}
	return n, err
}

// loginWriter passes on what pgx sends, and watches it until the login is over.
// pgx writes from one goroutine at a time.
type loginWriter struct {
	w       io.Writer
	login   *hostLogin // nil: there is nothing to watch any more
	message passing    // the one with the password; a user's hook may write it in pieces
}

// Write writes p. What comes first after the server has asked for the password is
// the answer; any other message after that means that the server has let us in.
func (w *loginWriter) Write(p []byte) (int, error) {
	if w.login != nil && len(p) > 0 {
		w.watch(p)
	}
	return w.w.Write(p)
}

func (w *loginWriter) watch(p []byte) {
	a := w.login.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	over := w.message.n >= w.message.end()
	switch {
	case !w.login.given:
	case !over || p[0] == 'p': // whoever asks again is sent an empty password
		if over {
			w.message = passing{}
		}
		w.login.sent = true
		a.takeBack(w.login)
		w.message.add(p)
		clear(w.message.head[messageHeader:]) // the token's beginning, which a hook that prints w would show
	default:
		w.login.in = true
		w.login = nil
	}
}

// passing is a message that passes in pieces.
type passing struct {
	head [9]byte // how it begins
	n    int     // how many bytes of it have passed
}

// messageHeader is the length of a message's type and length.
const messageHeader = 5

func (m *passing) add(p []byte) {
	if m.n < len(m.head) {
		copy(m.head[m.n:], p)
	}
	m.n += len(p)
}

// end is the length of the message or, until its header has passed, of that.
func (m *passing) end() int {
	if m.n < messageHeader {
		return messageHeader
	}
	return 1 + int(binary.BigEndian.Uint32(m.head[1:]))
}
