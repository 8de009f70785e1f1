package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg/internal/hostlist"
)

// The messages of a login.
// Source: PostgreSQL documentation, 55.7 Message Formats, read 2026-11.
const (
	msgAuthentication  = 'R'
	msgBackendKeyData  = 'K'
	msgDataRow         = 'D'
	msgError           = 'E'
	msgNotice          = 'N'
	msgParameterStatus = 'S'
	msgQuery           = 'Q'
	msgReadyForQuery   = 'Z'

	authOk        = 0
	authCleartext = 3
)

// maxWelcome limits what a server may say until it is ready for queries, in bytes. A
// real one says about 500.
const maxWelcome = 1 << 17

var (
	errNoMessage = errors.New("the server sent what does not belong to a login of PostgreSQL")
	errNotAsked  = errors.New("the server asked for no password, and was sent none")
)

// login is one login on a connection whose TLS stands and is verified.
type login struct {
	conn  io.ReadWriter
	token string

	asked, in bool
	sent      bool   // the token has left
	welcome   []byte // all from AuthenticationOk to ReadyForQuery, for the client
	cancelKey []byte // the body of BackendKeyData, for cancel requests
}

// run sends the startup packet and answers a request for a cleartext password, and
// nothing else, with the token. It reads to ReadyForQuery and not a byte further.
func (l *login) run(user, database string, params map[string]string) error {
	all := make(map[string]string, len(params)+2)
	for name, value := range params {
		all[name] = value
	}
	all["user"] = user
	if database != "" {
		all["database"] = database
	}
	packet, err := (&pgproto3.StartupMessage{ProtocolVersion: protocol3, Parameters: all}).Encode(nil)
	if err != nil {
		return err
	}
	if len(packet) > maxStartup {
		return answer(codeProtocol, "the parameters of client and DSN together are longer than a server takes")
	}
	if _, err := l.conn.Write(packet); err != nil {
		return err
	}
	for {
		message, err := readMessage(l.conn, maxWelcome-len(l.welcome))
		if err != nil {
			return err
		}
		ready, err := l.take(message)
		if err != nil || ready {
			return err
		}
	}
}

// take takes one message of the server, and reports whether it was the last.
func (l *login) take(message []byte) (ready bool, err error) {
	kind, body := message[0], message[5:]
	switch {
	case kind == msgError:
		return false, newServerError(body, l.token)
	case kind == msgAuthentication && len(body) >= 4:
		if err := l.authenticate(binary.BigEndian.Uint32(body)); err != nil || !l.in {
			return false, err
		}
	case kind == msgNotice && !l.in:
		return false, nil // the client cannot have it before it is logged in
	case kind != msgNotice && kind != msgParameterStatus && kind != msgBackendKeyData && kind != msgReadyForQuery:
		return false, errNoMessage
	case !l.in:
		return false, errNotAsked
	case kind == msgBackendKeyData && len(body) < 8, kind == msgReadyForQuery && len(body) != 1:
		return false, errNoMessage
	case kind == msgBackendKeyData:
		l.cancelKey = body
	}
	if bytes.Contains(body, []byte(l.token)) {
		return false, errors.New("the server repeats the token")
	}
	l.welcome = append(l.welcome, message...)
	return kind == msgReadyForQuery, nil
}

// authenticate admits a request for a cleartext password, once, and that the password
// was the right one.
func (l *login) authenticate(code uint32) error {
	switch {
	case code == authOk && l.sent && !l.in:
		l.in = true
		return nil
	case code == authOk:
		return errNotAsked
	case code == authCleartext && !l.asked:
		l.asked = true
		return l.sendToken()
	case code == authCleartext:
		return errors.New("the server asked for the password twice")
	}
	return fmt.Errorf("the server asked for %s, where a token is only sent as a cleartext password, and was sent nothing", hostlist.AuthName(code))
}

func (l *login) sendToken() error {
	message, err := (&pgproto3.PasswordMessage{Password: l.token}).Encode(nil)
	if err != nil {
		return err
	}
	l.sent = true
	_, err = l.conn.Write(message)
	clear(message)
	return err
}

// readMessage reads a message as it is, with type and length, of limit bytes at most.
func readMessage(r io.Reader, limit int) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, closedError(err)
	}
	n := int64(binary.BigEndian.Uint32(head[1:])) + 1
	if n < int64(len(head)) || n > int64(limit) {
		return nil, errNoMessage
	}
	message := make([]byte, n)
	copy(message, head[:])
	_, err := io.ReadFull(r, message[len(head):])
	return message, closedError(err)
}

// closedError says what an end of the connection means during a login.
func closedError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the server closed the connection during the login: %w", io.ErrUnexpectedEOF)
	}
	return err
}
