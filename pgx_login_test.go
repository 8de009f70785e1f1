package azurepg

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// A hook's reader may read ahead in a goroutine of its own. By the time it comes upon the
// request, pgx may have given up, and its error is with a tracer.
func TestPgxIsNotGivenTheTokenOnceTheConnectionIsClosed(t *testing.T) {
	for _, closed := range []bool{false, true} {
		conn, server := net.Pipe()
		defer func() { _ = server.Close() }()
		a := (&pgxBase{}).newAttempt(Login{User: "app", Password: "HUNTER2"})
		a.owner = new(pgconn.Config)
		a.current = &hostLogin{Conn: conn, attempt: a}
		r := &loginReader{r: bytes.NewReader(passwordRequest[:]), login: a.current}
		if closed {
			_ = a.current.Close()
		}
		if _, err := io.ReadFull(r, make([]byte, len(passwordRequest))); err != nil {
			t.Fatal(err)
		}
		if given := a.owner.Password != ""; given == closed {
			t.Errorf("closed: %v, given: %v", closed, given)
		}
	}
}

// A hook keeps reader and writer as long as the connection lives, and may print them.
func TestWriterOfALoginKeepsNothingOfTheToken(t *testing.T) {
	a := (&pgxBase{}).newAttempt(Login{User: "app", Password: "HUNTER2"})
	w := &loginWriter{w: io.Discard, login: &hostLogin{attempt: a, given: true}}
	message := []byte("p\x00\x00\x00\x0cHUNTER2\x00")
	for i := range message {
		if _, err := w.Write(message[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%s %v", w.message.head, w.message.head); strings.Contains(text, "H") || strings.Contains(text, "72") {
			t.Errorf("after %d bytes: %s", i+1, text)
		}
	}
}
