package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg/internal/hostlist"
)

func TestParametersOfAClientWin(t *testing.T) {
	for name, tt := range map[string]struct{ ours, theirs, want map[string]string }{
		"none":                 {nil, nil, map[string]string{}},
		"ours":                 {map[string]string{"a": "1"}, nil, map[string]string{"a": "1"}},
		"theirs":               {map[string]string{"a": "1"}, map[string]string{"a": "2", "b": "3"}, map[string]string{"a": "2", "b": "3"}},
		"in another case":      {map[string]string{"timezone": "UTC"}, map[string]string{"TimeZone": "Asia/Tokyo"}, map[string]string{"TimeZone": "Asia/Tokyo"}},
		"options of both":      {map[string]string{"options": "-c a=1"}, map[string]string{"options": "-c a=2"}, map[string]string{"options": "-c a=1 -c a=2"}},
		"options of a client":  {nil, map[string]string{"options": "-c a=2"}, map[string]string{"options": "-c a=2"}},
		"options that say nil": {map[string]string{"options": "-c a=1"}, map[string]string{"options": ""}, map[string]string{"options": "-c a=1 "}},
	} {
		if got := merged(tt.ours, tt.theirs); !maps.Equal(got, tt.want) {
			t.Errorf("%s: got %q; want %q", name, got, tt.want)
		}
	}
}

func TestFramesAreCountedWhateverThePieces(t *testing.T) {
	var stream []byte
	for _, m := range []pgproto3.BackendMessage{
		&pgproto3.ReadyForQuery{TxStatus: 'T'}, &pgproto3.DataRow{Values: [][]byte{bytes.Repeat([]byte{'Z', 0, 0, 0, 5}, 100)}},
		&pgproto3.BindComplete{}, &pgproto3.EmptyQueryResponse{}, &pgproto3.ReadyForQuery{TxStatus: 'I'},
	} {
		stream, _ = m.Encode(stream)
	}
	stream, _ = (&pgproto3.ErrorResponse{Severity: strings.Repeat("x", 1000), Code: "25006"}).Encode(stream)
	const want = "Z/T D/\x00 2/\x00 I/\x00 Z/I E/S "
	for size := 1; size <= len(stream); size++ {
		var got strings.Builder
		f := frames{seen: func(kind, first byte) { fmt.Fprintf(&got, "%c/%c ", kind, first) }}
		kept := 0
		f.failed = func(beginning []byte) { kept += len(beginning) }
		for rest := stream; len(rest) > 0; {
			n := min(size, len(rest))
			f.read(rest[:n])
			rest = rest[n:]
		}
		if got.String() != want || !f.between() {
			t.Fatalf("in pieces of %d: got %q, at the end of a message %v; want %q", size, got.String(), f.between(), want)
		}
		if kept != keptOfError {
			t.Errorf("%d bytes of the error are kept; want %d", kept, keptOfError)
		}
		if f.read([]byte{'D', 0, 0, 0, 9}); f.between() {
			t.Error("within a message it passes for between two")
		}
	}
	broken := frames{seen: func(byte, byte) { t.Error("a message was seen") }}
	if broken.read([]byte{'D', 0, 0, 0, 3, 'Z', 0, 0, 0, 5, 'I'}); broken.between() {
		t.Error("what is no message passes for one")
	}
}

func FuzzParseStartup(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x00user\x00u\x00database\x00d\x00options\x00-c a=1\x00\x00"))
	f.Add([]byte("\x00\x03\x00\x02user\x00u\x00_pq_.x\x00\x00replication\x00database\x00\x00"))
	f.Add([]byte("\x00\x02\x00\x00"))
	f.Add([]byte("\x00\x03\x00\x00"))
	f.Add([]byte("\x00\x03\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) < 4 || len(packet) > maxStartup {
			return
		}
		s, err := parseStartup(packet)
		var own *reply
		if err != nil {
			if !errors.As(err, &own) || s != nil {
				t.Fatalf("got %v, %v; want an answer for the client", s, err)
			}
			return
		}
		for name, value := range s.params {
			if name == "" || name == "user" || name == "database" || name == "replication" || strings.HasPrefix(name, "_pq_.") ||
				strings.Contains(name+value, "\x00") {
				t.Errorf("parameter %q = %q", name, value)
			}
		}
		if len(s.params) > maxParameters {
			t.Errorf("%d parameters", len(s.params))
		}
		// What a server would be sent is read as the same.
		again, err := (&pgproto3.StartupMessage{ProtocolVersion: protocol3, Parameters: merged(nil, s.params)}).Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseStartup(again[4:]); err != nil || !maps.Equal(back.params, s.params) {
			t.Errorf("%q became %v, %v", s.params, back, err)
		}
	})
}

// Whatever a client sends first, readStartup ends, and answers SSLRequest and GSSENCRequest at
// most once each.
func FuzzReadStartup(f *testing.F) {
	ssl := []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}
	gss := []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30}
	good := []byte("\x00\x00\x00\x10\x00\x03\x00\x00user\x00u\x00\x00")
	f.Add(good)
	f.Add(append(bytes.Clone(ssl), good...))
	f.Add(bytes.Join([][]byte{gss, ssl, gss, ssl, good}, nil))
	f.Add([]byte{0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, sent []byte) {
		c := &oneWay{Reader: bytes.NewReader(sent)}
		s, key, err := readStartup(c)
		if (s == nil) != (err != nil || key != nil) {
			t.Errorf("got %v, %v, %v", s, key, err)
		}
		if c.answers > 2 || c.other {
			t.Errorf("%d answers", c.answers)
		}
	})
}

// oneWay is a client that has said all and counts what it hears.
type oneWay struct {
	net.Conn
	*bytes.Reader
	answers int
	other   bool // it heard something else than N
}

func (c *oneWay) Read(p []byte) (int, error) { return c.Reader.Read(p) }
func (c *oneWay) Write(p []byte) (int, error) {
	c.answers++
	c.other = c.other || string(p) != "N"
	return len(p), nil
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte{'Z', 0, 0, 0, 5, 'I', 'D', 0, 0, 0, 4}, 3)
	f.Add([]byte{'Z', 0xff, 0xff, 0xff, 0xff, 'I'}, 1)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		if size <= 0 || len(stream) > 1<<12 {
			return
		}
		read := func(size int) (seen string, between bool) {
			var b strings.Builder
			fr := frames{seen: func(kind, first byte) { b.Write([]byte{kind, first}) }}
			for rest := stream; len(rest) > 0; {
				n := min(size, len(rest))
				fr.read(rest[:n])
				rest = rest[n:]
			}
			return b.String(), fr.between()
		}
		a, inA := read(size)
		b, inB := read(1)
		if a != b || inA != inB {
			t.Errorf("in pieces of %d: %q, %v; byte by byte: %q, %v", size, a, inA, b, inB)
		}
	})
}

// duplex reads one stream and keeps what is written.
type duplex struct {
	io.Reader
	bytes.Buffer
}

func (d *duplex) Read(p []byte) (int, error) { return d.Reader.Read(p) }

// A server that repeats the token in what it says must not get it to the client.
func TestAServerCannotRepeatTheTokenToTheClient(t *testing.T) {
	const token = "eyJhbGciOi.HUNTER2.signature"
	for name, said := range map[string][]pgproto3.BackendMessage{
		"in an error":        {&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "no " + token, Detail: token, Hint: token, Where: token}},
		"in a parameter":     {&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "x", Value: token}, &pgproto3.ReadyForQuery{TxStatus: 'I'}},
		"in a notice":        {&pgproto3.AuthenticationOk{}, &pgproto3.NoticeResponse{Message: token}, &pgproto3.ReadyForQuery{TxStatus: 'I'}},
		"in an early notice": {&pgproto3.NoticeResponse{Message: token}, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "no"}},
	} {
		var stream []byte
		stream, _ = (&pgproto3.AuthenticationCleartextPassword{}).Encode(stream)
		for _, m := range said {
			stream, _ = m.Encode(stream)
		}
		l := &login{conn: &duplex{Reader: bytes.NewReader(stream)}, token: token}
		err := l.run("app", "", nil)
		if err == nil {
			t.Errorf("%s: it was let in", name)
			continue
		}
		failed := failedAt(t, err)
		packet, _ := replyTo(failed).Encode(nil)
		if text := string(packet) + string(l.welcome) + err.Error(); strings.Contains(text, "HUNTER2") {
			t.Errorf("%s: the token is in %q", name, text)
		}
	}
}

// Nor where it is asked which session it gives.
func TestAServerCannotRepeatTheTokenWhenItIsAsked(t *testing.T) {
	const token = "HUNTER2 of no form that is known"
	said, _ := (&pgproto3.ErrorResponse{Severity: "ERROR", Code: "XX000", Message: "no " + token}).Encode(nil)
	l := &login{conn: &duplex{Reader: bytes.NewReader(said)}, token: token}
	_, err := l.ask("show transaction_read_only")
	if err == nil || strings.Contains(err.Error(), "HUNTER2") {
		t.Errorf("got %v; want an error without the token", err)
	}
}

// failedAt is why none of the hosts would do that said these errors.
func failedAt(t *testing.T, errs ...error) *hostlist.Failed {
	t.Helper()
	addresses := make([]string, len(errs))
	for i := range errs {
		addresses[i] = fmt.Sprintf("host%d:5432", i)
	}
	_, failed := hostlist.Open(t.Context(), addresses, "any", func(i int, _ string) (bool, bool, error) { return false, true, errs[i] })
	return failed
}

func TestRefusalsOfSeveralHostsTheLastIsRelayed(t *testing.T) {
	said := func(code string) error {
		return &serverError{pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: code}}
	}
	if got := replyTo(fmt.Errorf("around: %w", failedAt(t, said("57P03"), said("28P01")))); got.Code != "28P01" {
		t.Errorf("got %s; want 28P01", got.Code)
	}
	failed := failedAt(t, said("57P03"), errors.New("connection refused"))
	if got := replyTo(failed); got.Code != "57P03" || !strings.Contains(failed.Error(), "host1:5432: connection refused") {
		t.Errorf("got %s, %v", got.Code, failed)
	}
}

func TestMessagesOfALoginAreLimited(t *testing.T) {
	huge := binary.BigEndian.AppendUint32([]byte{'N'}, 1<<30)
	if _, err := readMessage(bytes.NewReader(huge), maxWelcome); !errors.Is(err, errNoMessage) {
		t.Errorf("got %v", err)
	}
}
