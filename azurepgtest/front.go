package azurepgtest

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Limits of PostgreSQL: MAX_STARTUP_PACKET_LENGTH and PG_MAX_AUTH_TOKEN_LENGTH.
const (
	maxStartup  = 10000
	maxPassword = 65535
)

// loginTimeout is PostgreSQL's default authentication_timeout.
const loginTimeout = time.Minute

// Codes in place of a protocol version in the first packet. Source: pqcomm.h.
const (
	cancelCode = 1234<<16 | 5678
	sslCode    = 1234<<16 | 5679
	gssCode    = 1234<<16 | 5680
)

// serve serves one client, whose login is cut when logins ends. It reads to the byte what
// it understands and no further, so nothing sent before TLS can slip into it
// (CVE-2021-23214).
func (p *Postgres) serve(logins context.Context, raw net.Conn) {
	loggedIn := closeOnDone(logins, raw)
	defer loggedIn()
	raw.SetDeadline(time.Now().Add(loginTimeout))
	client, packet, err := p.greet(raw)
	if err != nil {
		return // whoever does not speak the protocol gets no answer
	}
	if code(packet) == cancelCode {
		p.backend.cancel(p.running, packet)
		return
	}
	startup := new(pgproto3.StartupMessage)
	if err := startup.Decode(packet); err != nil {
		send(client, fatal("0A000", "unsupported frontend protocol"))
		return
	}
	if err := p.login(client, startup, loggedIn); err != nil {
		// Close politely, else the client's unread bytes reset the connection and may
		// destroy the message.
		closeWrite(client)
		raw.SetDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, client)
	}
}

// greet negotiates TLS and returns the connection to go on with and the first packet
// that is no such negotiation.
func (p *Postgres) greet(raw net.Conn) (net.Conn, []byte, error) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(raw, first); err != nil {
		return nil, nil, err
	}
	const tlsHandshake = 0x16
	if first[0] == tlsHandshake {
		return p.secure(&prefixConn{raw, first}, true)
	}
	var conn net.Conn = &prefixConn{raw, first}
	for {
		packet, err := readStartup(conn)
		if err != nil {
			return nil, nil, err
		}
		switch code(packet) {
		case sslCode:
			if _, err := raw.Write([]byte{'S'}); err != nil {
				return nil, nil, err
			}
			return p.secure(raw, false)
		case gssCode:
			if _, err := raw.Write([]byte{'N'}); err != nil {
				return nil, nil, err
			}
		default:
			return raw, packet, nil
		}
	}
}

// secure does the TLS handshake. Direct TLS needs ALPN, as in PostgreSQL 17.
func (p *Postgres) secure(conn net.Conn, direct bool) (net.Conn, []byte, error) {
	secured := tls.Server(conn, p.tlsConfig())
	if err := secured.Handshake(); err != nil {
		return nil, nil, err
	}
	if direct && secured.ConnectionState().NegotiatedProtocol != "postgresql" {
		return nil, nil, errors.New("direct TLS without ALPN")
	}
	packet, err := readStartup(secured)
	return secured, packet, err
}

func (p *Postgres) tlsConfig() *tls.Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tls
}

// readStartup reads a packet that has no type byte and returns it without its length.
func readStartup(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(length[:])) - 4
	if n < 4 || n > maxStartup {
		return nil, errors.New("no startup packet")
	}
	packet := make([]byte, n)
	_, err := io.ReadFull(r, packet)
	return packet, err
}

func code(packet []byte) uint32 { return binary.BigEndian.Uint32(packet) }

var errPasswordTooLong = errors.New("password too long")

// readPassword reads the answer to a request for a password.
func readPassword(r io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	n := int64(binary.BigEndian.Uint32(head[1:])) - 4
	if head[0] != 'p' || n < 1 {
		return "", fmt.Errorf("expected a password, got message type %q", head[0])
	}
	if n > maxPassword {
		return "", errPasswordTooLong
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return "", err
	}
	return string(body[:n-1]), nil // without the closing zero byte
}

// send writes messages to the client.
func send(w io.Writer, messages ...pgproto3.BackendMessage) error {
	_, err := w.Write(packets(messages...))
	return err
}

func packets(messages ...pgproto3.BackendMessage) []byte {
	var all []byte
	for _, m := range messages {
		all, _ = m.Encode(all) // fails at gigabytes only
	}
	return all
}

func fatal(code, message string) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message}
}

// A prefixConn reads prefix before what is left on the connection.
type prefixConn struct {
	net.Conn
	prefix []byte
}

func (c *prefixConn) Read(b []byte) (int, error) {
	if len(c.prefix) > 0 {
		n := copy(b, c.prefix)
		c.prefix = c.prefix[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
