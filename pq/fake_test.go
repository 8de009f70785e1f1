package pq_test

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/pq"
)

const bearer = "THE-TOKEN"

// fakeServer stands at the other end of Login.Dial, where TLS would be. Each
// connection is read to its end when the script has run.
type fakeServer struct {
	script func(net.Conn) // for the first connection
	later  func(net.Conn) // for those that follow
	wg     sync.WaitGroup

	mu   sync.Mutex // guards what follows
	got  [][]byte   // what each connection sent
	open int        // connections that the client has not closed
}

func (s *fakeServer) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	s.mu.Lock()
	n := len(s.got)
	s.got = append(s.got, nil)
	s.open++
	s.mu.Unlock()
	s.wg.Go(func() {
		seen := &seenConn{Conn: server, keep: func(b []byte) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.got[n] = append(s.got[n], b...)
		}}
		if n == 0 {
			s.script(seen)
		} else {
			s.later(seen)
		}
		_, _ = io.Copy(io.Discard, seen)
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	})
	return client, nil
}

// sent returns what each connection sent, once they are closed.
func (s *fakeServer) sent() [][]byte {
	s.wg.Wait()
	return s.got
}

// seenConn keeps what is read.
type seenConn struct {
	net.Conn
	keep func([]byte)
}

func (c *seenConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.keep(b[:n])
	return n, err
}

// logIn logs in to s.
func logIn(t *testing.T, s *fakeServer) (driver.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return logInWith(ctx, t, s)
}

func logInWith(ctx context.Context, t *testing.T, s *fakeServer) (driver.Conn, error) {
	t.Helper()
	open, err := pq.Base(&azurepg.Config{Hosts: []azurepg.Host{{Name: "db.example.com", Port: 5432}}, TargetSessionAttrs: "any"})
	if err != nil {
		t.Fatal(err)
	}
	return open(ctx, azurepg.Login{User: "app", Password: bearer, Dial: s.dial})
}

// message is one message of the server.
func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body))+4), body...)
}

func authentication(code uint32, rest string) []byte {
	return message('R', string(binary.BigEndian.AppendUint32(nil, code))+rest)
}

var (
	askPassword = authentication(3, "")
	letIn       = authentication(0, "")
	ready       = message('Z', "I")
)

// readStartup reads a packet without a type.
func readStartup(conn net.Conn) {
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err == nil {
		_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(length[:]))-4)
	}
}

// readMessage reads a message, and returns its body.
func readMessage(conn net.Conn) []byte {
	var header [5]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return nil
	}
	body := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
	_, _ = io.ReadFull(conn, body)
	return body
}

// says is a script that reads the start-up packet, and then says what is given in
// turn; nil reads a message.
func says(turns ...[]byte) func(net.Conn) {
	return func(conn net.Conn) {
		readStartup(conn)
		for _, turn := range turns {
			if turn == nil {
				readMessage(conn)
			} else if _, err := conn.Write(turn); err != nil {
				return
			}
		}
	}
}

// hangsUp is a script that closes the connection at its end.
func hangsUp(script func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		script(conn)
		_ = conn.Close()
	}
}
