package azurepgtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// passThrough lets the real server and client agree on a login and reads along until they
// have.
func (p *Postgres) passThrough(client net.Conn, startup *pgproto3.StartupMessage) (_ *session, err error) {
	server, err := p.backend.dial(p.running)
	if err != nil {
		return nil, err
	}
	stop := closeOnDone(p.running, server)
	defer stop()
	defer func() {
		if err != nil {
			server.Close()
		}
	}()
	packet, err := startup.Encode(nil)
	if err != nil {
		return nil, err
	}
	if _, err := server.Write(packet); err != nil {
		return nil, err
	}
	accepted, err := passQuestions(client, server)
	if err != nil {
		return nil, err
	}
	if err := p.reserve(); err != nil {
		return nil, err
	}
	id, settings, err := readSettings(server)
	if err != nil {
		p.release()
		return nil, err
	}
	return &session{server, id, append(accepted, settings...)}, nil
}

// passQuestions passes on what the server asks and the client answers, until the server is
// content: the message that says so is returned.
func passQuestions(client, server net.Conn) ([]byte, error) {
	const ok, saslFinal = 0, 12 // Source: PostgreSQL's manual, "Message Formats", read 2026-11
	for {
		message, err := readMessage(server)
		if err != nil {
			return nil, err
		}
		what := -1
		if message[0] == 'R' && len(message) >= 9 {
			what = int(binary.BigEndian.Uint32(message[5:]))
		}
		if message[0] == 'E' {
			return nil, serverError(message)
		}
		if what == ok {
			return message, nil
		}
		if _, err := client.Write(message); err != nil {
			return nil, err
		}
		if what == -1 || what == saslFinal {
			continue // no question
		}
		answer, err := readMessage(client)
		if err != nil {
			return nil, err
		}
		if _, err := server.Write(answer); err != nil {
			return nil, err
		}
	}
}

// readSettings reads to the end of the login, and returns the process id of the backend
// and everything read.
func readSettings(server net.Conn) (id uint32, all []byte, err error) {
	for {
		message, err := readMessage(server)
		if err != nil {
			return 0, nil, err
		}
		all = append(all, message...)
		switch {
		case message[0] == 'E':
			return 0, nil, serverError(message)
		case message[0] == 'K' && len(message) >= 9:
			id = binary.BigEndian.Uint32(message[5:])
		case message[0] == 'Z':
			return id, all, nil
		}
	}
}

// serverError returns an ErrorResponse as an error.
func serverError(message []byte) error {
	response := new(pgproto3.ErrorResponse)
	if err := response.Decode(message[5:]); err != nil {
		return err
	}
	return pgconn.ErrorResponseToPgError(response)
}

// readMessage reads a message of a login as it is, with type and length.
func readMessage(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[1:])) + 1
	if n < int64(len(head)) {
		return nil, errors.New("no message")
	}
	if n > maxPassword+int64(len(head)) {
		return nil, fmt.Errorf("message %q of %d bytes", head[0], n)
	}
	message := make([]byte, n)
	copy(message, head[:])
	_, err := io.ReadFull(r, message[len(head):])
	return message, err
}
