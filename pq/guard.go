package pq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/azurepg/azurepg/internal/hostlist"
)

// guard is the connection that lib/pq logs in on, above TLS. Until the server is
// ready for queries it looks at each message in both directions: the server may
// ask for a cleartext password and for nothing else, and the answer to that is
// the token, whatever lib/pq says. Until the attempt is over, and the session has been
// found to be the right one, it takes the token out of errors. After that it only
// passes on, watched by a demotion if there is one.
//
// lib/pq uses it from one goroutine at a time.
type guard struct {
	net.Conn
	state   loginState
	token   string // empty: the attempt is over
	buffer  []byte // holds one message of the server's; nil: none
	pending []byte // what the server said and lib/pq has not read yet
	err     error  // why this login cannot go on

	demotion *demotion // nil: any session will do
}

// loginState is how far a login is.
type loginState int

const (
	silent  loginState = iota // nothing was sent
	started                   // the start-up packet was
	asked                     // the server wants a cleartext password
	sent                      // the token was sent
	in                        // the server has let us in
	ready                     // and is ready for queries
	over                      // and lib/pq knows
)

// maxMessage limits what a server may say in one message before it has let us in.
// libpq's limits are lower, but there a server does not repeat a token of 60 kB.
const maxMessage = 1 << 17

func newGuard(conn net.Conn, token string) *guard {
	return &guard{Conn: conn, token: token}
}

// end forgets the token. It returns whether it was sent.
func (g *guard) end() bool {
	g.token = ""
	if len(g.pending) == 0 {
		g.buffer = nil
	}
	return g.state >= sent
}

// Read reads from the server.
func (g *guard) Read(p []byte) (int, error) {
	if g.state == over && g.token == "" && len(g.pending) == 0 {
		n, err := g.Conn.Read(p)
		if g.demotion != nil {
			g.demotion.read(p[:n])
		}
		return n, err
	}
	if len(g.pending) == 0 && g.err == nil {
		g.pending, g.err = g.receive()
	}
	if len(g.pending) == 0 {
		return 0, g.err
	}
	n := copy(p, g.pending)
	if g.pending = g.pending[n:]; g.state == ready && len(g.pending) == 0 {
		g.state, g.buffer = over, nil
	}
	return n, nil
}

// Write writes to the server.
func (g *guard) Write(p []byte) (int, error) {
	if g.state == over {
		if g.demotion != nil && g.demotion.over {
			return 0, errDemoted
		}
		return g.Conn.Write(p)
	}
	switch {
	case g.err != nil:
		return 0, g.err
	case g.state == silent && startupCode(p) == protocol3:
		g.state = started
		return g.Conn.Write(p)
	case g.state == asked && len(p) > 0 && p[0] == msgPassword && g.token != "":
		return len(p), g.sendToken()
	}
	g.err = errors.New("lib/pq wanted to send what does not belong to a login, and it was not sent")
	return 0, g.err
}

func (g *guard) sendToken() error {
	g.state = sent
	message := append(appendMessage(nil, msgPassword, len(g.token)+1), g.token...)
	message = append(message, 0)
	_, err := g.Conn.Write(message)
	clear(message)
	return err
}

// receive reads the next message that lib/pq is to see. The guard reads no further
// than that, so that nothing stays here when the login is over.
func (g *guard) receive() ([]byte, error) {
	for {
		kind, body, err := g.message()
		if err != nil {
			return nil, err
		}
		if kind == msgNotice {
			continue // nobody can have asked for notices yet
		}
		switch {
		case g.state != over:
			body, err = g.admit(kind, body)
		case kind == msgError:
			body, err = hideToken(body, g.token)
		}
		if err != nil {
			return nil, err
		}
		// The body, or what is left of it, is where it belongs already, or somewhere else.
		head := binary.BigEndian.AppendUint32(append(g.buffer[:0], kind), uint32(len(body))+4)
		g.buffer = append(head, body...)
		return g.buffer, nil
	}
}

// message reads the next message into the buffer.
func (g *guard) message() (kind byte, body []byte, err error) {
	const head, usual = 5, 512
	g.buffer = slices.Grow(g.buffer[:0], usual)[:head]
	if _, err := io.ReadFull(g.Conn, g.buffer); err != nil {
		return 0, nil, closedError(err)
	}
	length := int64(binary.BigEndian.Uint32(g.buffer[1:])) - 4
	if length < 0 || length > maxMessage {
		return 0, nil, errNoMessage
	}
	g.buffer = slices.Grow(g.buffer, int(length))[:head+length]
	if _, err := io.ReadFull(g.Conn, g.buffer[head:]); err != nil {
		return 0, nil, closedError(err)
	}
	return g.buffer[0], g.buffer[head:], nil
}

// admit returns the body of a message as lib/pq may see it. It checks the form as
// well: lib/pq panics at a message that is too short.
func (g *guard) admit(kind byte, body []byte) ([]byte, error) {
	fixed := 4 // bytes that must be there
	switch kind {
	case msgError:
		return hideToken(body, g.token)
	case msgParameterStatus:
		if bytes.Count(body, []byte{0}) != 2 || body[len(body)-1] != 0 {
			return nil, errNoMessage
		}
		fixed = 0
	case msgReadyForQuery:
		fixed = 1
	case msgAuthentication, msgBackendKeyData, msgNegotiateVersion:
	default:
		return nil, errNoMessage
	}
	switch {
	case len(body) < fixed:
		return nil, errNoMessage
	case kind == msgAuthentication:
		return body[:fixed], g.authentication(binary.BigEndian.Uint32(body)) // nothing belongs behind those that pass
	case kind != msgNegotiateVersion && g.state != in:
		return nil, errNotAsked
	case kind == msgReadyForQuery:
		g.state = ready
	}
	return body, nil
}

var (
	errNoMessage = errors.New("the server sent what does not belong to a login of PostgreSQL")
	errNotAsked  = errors.New("the server asked for no password, and was sent none")
)

// authentication admits a request for a cleartext password, once, and that the
// password was the right one.
func (g *guard) authentication(code uint32) error {
	switch {
	case code == authCleartext && g.state == started:
		g.state = asked
		return nil
	case code == authOk && g.state == sent:
		g.state = in
		return nil
	case code == authOk:
		return errNotAsked
	case code == authCleartext:
		return errors.New("the server asked for the password twice")
	}
	return fmt.Errorf("the server asked for %s, where a token is only sent as a cleartext password, and was sent nothing", hostlist.AuthName(code))
}

// closedError says what an end of the connection means here.
func closedError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the server closed the connection during the login: %w", io.ErrUnexpectedEOF)
	}
	return err
}
