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

	sent bool // a password message has left; guarded by attempt.mu
	in   bool // and after it another message: the server has let us in; likewise

	reader loginReader // of this connection, as the next
	writer loginWriter // its w is nil until then
}

// Close closes the TCP connection. A hook's writer that fails may have kept the
// password from leaving; then pgx closes, and its error must not hold it.
func (l *hostLogin) Close() error {
	l.attempt.mu.Lock()
	l.attempt.takeBack(l)
	l.attempt.mu.Unlock()
	return l.Conn.Close()
}

// loginReader passes on what the server sends, message by message until one asks for
// the password. So all before it has been understood by pgx when pgx gets the token,
// and nothing but the answer comes next.
type loginReader struct {
	r     io.Reader
	login *hostLogin // nil: there is nothing to watch any more
	head  [9]byte    // how the present message begins
	n     int        // how many bytes of it have been read
}

// passwordRequest is AuthenticationCleartextPassword, the whole message.
var passwordRequest = [9]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3}

// messageHeader is the length of a message's type and length.
const messageHeader = 5

// Read reads no further than to the end of a message's header or body.
func (r *loginReader) Read(p []byte) (int, error) {
	if r.login == nil {
		return r.r.Read(p)
	}
	end := messageHeader
	if r.n >= messageHeader {
		end = r.size()
	}
	n, err := r.r.Read(p[:min(len(p), end-r.n)])
	if r.n < len(r.head) {
		copy(r.head[r.n:], p[:n])
	}
	r.n += n
	switch {
	case r.n < messageHeader:
	case r.size() < messageHeader: // pgx will say so
		r.login = nil
	case r.n == r.size() && r.head == passwordRequest:
		r.login.attempt.give(r.login)
		r.login = nil
	case r.n == r.size():
		r.head, r.n = [9]byte{}, 0
	}
	return n, err
}

// size is the length of the message whose header has been read.
func (r *loginReader) size() int { return 1 + int(binary.BigEndian.Uint32(r.head[1:])) }

// loginWriter passes on what pgx sends, and watches it until the login is over.
// pgx writes from one goroutine at a time.
type loginWriter struct {
	w     io.Writer
	login *hostLogin // nil: there is nothing to watch any more
	rest  int        // how many bytes of the password message are still to come
}

// Write writes p. A message that begins with 'p' answers a request for a
// password; any other after it means that the server has let us in.
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
	switch {
	case w.rest > 0: // a hook of the user's between pgx and here writes in pieces
		w.rest -= len(p)
	case p[0] == 'p':
		w.login.sent = true
		a.takeBack(w.login)
		if len(p) >= messageHeader {
			w.rest = 1 + int(binary.BigEndian.Uint32(p[1:])) - len(p)
		}
	case w.login.sent:
		w.login.in = true
		w.login = nil
	}
}
