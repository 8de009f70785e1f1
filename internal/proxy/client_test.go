package proxy_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// startupPacket is the first packet of a client with these settings, in pairs.
func startupPacket(version uint32, settings ...string) []byte {
	packet := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, version)
	for _, s := range settings {
		packet = append(append(packet, s...), 0)
	}
	packet = append(packet, 0)
	binary.BigEndian.PutUint32(packet, uint32(len(packet)))
	return packet
}

const (
	version30 = 3 << 16
	version32 = 3<<16 | 2
)

var (
	sslRequest = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}
	gssRequest = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30}
	goodPacket = startupPacket(version30, "user", "whoever", "application_name", "raw")
)

func cancelPacket(key []byte) []byte {
	packet := binary.BigEndian.AppendUint32(nil, uint32(8+len(key)))
	packet = binary.BigEndian.AppendUint32(packet, 1234<<16|5678)
	return append(packet, key...)
}

func write(tb testing.TB, w io.Writer, packet []byte) {
	tb.Helper()
	if _, err := w.Write(packet); err != nil {
		tb.Fatal(err)
	}
}

// hear reads messages until one of that type, and returns its body; nil if the
// connection ends before.
func hear(tb testing.TB, r io.Reader, kind byte) []byte {
	tb.Helper()
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil
		}
		if head[0] == kind {
			return body
		}
	}
}

// wantError reads an ErrorResponse with that SQLSTATE and the end of the connection.
func wantError(tb testing.TB, conn net.Conn, code string) pgproto3.ErrorResponse {
	tb.Helper()
	var said pgproto3.ErrorResponse
	if err := said.Decode(hear(tb, conn, 'E')); err != nil || said.Code != code || said.Severity != "FATAL" {
		tb.Errorf("got %q %q %q, %v; want FATAL %s", said.Severity, said.Code, said.Message, err, code)
	}
	wantEnd(tb, conn)
	_ = conn.Close()
	return said
}

// wantEnd reads to the end of the connection.
func wantEnd(tb testing.TB, conn net.Conn) {
	tb.Helper()
	var timeout net.Error
	if _, err := io.Copy(io.Discard, conn); errors.As(err, &timeout) && timeout.Timeout() {
		tb.Error("the proxy does not hang up")
	}
}

// enter logs a raw client in, and returns the key for cancel requests.
func enter(tb testing.TB, conn net.Conn) (key []byte) {
	tb.Helper()
	write(tb, conn, goodPacket)
	key = hear(tb, conn, 'K')
	if hear(tb, conn, 'Z') == nil {
		tb.Fatal("it was not let in")
	}
	return key
}

// query is a message with one statement.
func query(tb testing.TB, sql string) []byte {
	tb.Helper()
	packet, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return packet
}

// sleep has a statement run that takes ten minutes.
func sleep(tb testing.TB, conn net.Conn) {
	tb.Helper()
	write(tb, conn, query(tb, "do $$ begin raise notice 'it runs'; perform pg_sleep(600); end $$"))
	if hear(tb, conn, 'N') == nil {
		tb.Fatal("the statement does not run")
	}
}

func portNumber(tb testing.TB, s string) uint16 {
	tb.Helper()
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		tb.Fatal(err)
	}
	return uint16(n)
}
