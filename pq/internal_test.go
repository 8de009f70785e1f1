package pq

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a connection to nowhere.
type memory struct {
	net.Conn
	in  bytes.Reader
	out []byte
}

func (m *memory) Read(p []byte) (int, error)  { return m.in.Read(p) }
func (m *memory) Write(p []byte) (int, error) { m.out = append(m.out, p...); return len(p), nil }

func TestGuardLeavesWhenTheLastByteOfTheLoginIsRead(t *testing.T) {
	m := &memory{}
	m.in.Reset([]byte("Z\x00\x00\x00\x05IWHAT FOLLOWS"))
	g := &guard{Conn: m, state: in, token: "THE-TOKEN"}
	var got []byte
	for range 6 {
		if g.state == over {
			t.Fatalf("over after %q", got)
		}
		b := make([]byte, 1)
		if _, err := g.Read(b); err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	if g.state != over {
		t.Fatalf("not over after %q", got)
	}
	g.end()
	rest := make([]byte, 100)
	if n, err := g.Read(rest); err != nil || string(rest[:n]) != "WHAT FOLLOWS" {
		t.Errorf("then %q, %v", rest[:n], err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = g.Read(rest); m.out = m.out[:0]; _, _ = g.Write(rest) }); n > 0 {
		t.Errorf("%v allocations for each read and write", n)
	}
}

func TestGuardLetsNothingElseOut(t *testing.T) {
	password := append(appendMessage(nil, msgPassword, 8), placeholder+"\x00"...)
	startup := []byte{0, 0, 0, 8, 0, 3, 0, 0}
	for name, row := range map[string]struct {
		state loginState
		token string
		write []byte
	}{
		"a password unasked":            {started, "T", password},
		"a password as the first":       {silent, "T", password},
		"a password again":              {sent, "T", password},
		"a password after the attempt":  {asked, "", password},
		"a query":                       {asked, "T", []byte("Q\x00\x00\x00\x05\x00")},
		"a query before ready":          {in, "T", []byte("Q\x00\x00\x00\x05\x00")},
		"a second start-up packet":      {started, "T", startup},
		"an SSLRequest":                 {silent, "T", []byte{0, 0, 0, 8, 4, 210, 22, 47}},
		"a start-up packet of 2.0":      {silent, "T", []byte{0, 0, 0, 8, 0, 2, 0, 0}},
		"a packet shorter than it says": {silent, "T", []byte{0, 0, 0, 9, 0, 3, 0, 0}},
		"nothing":                       {silent, "T", nil},
	} {
		m := &memory{}
		g := &guard{Conn: m, state: row.state, token: row.token}
		if n, err := g.Write(row.write); err == nil || n != 0 || len(m.out) > 0 {
			t.Errorf("%s: %d, %v, and %q was sent; want an error and nothing", name, n, err, m.out)
		}
		if _, err := g.Write(startup); err == nil {
			t.Errorf("%s: the login goes on", name)
		}
	}
}

func TestTokenReplacesThePlaceholder(t *testing.T) {
	m := &memory{}
	g := &guard{Conn: m, state: asked, token: "THE-TOKEN"}
	password := append(appendMessage(nil, msgPassword, 8), placeholder+"\x00"...)
	n, err := g.Write(password)
	if err != nil || n != len(password) || string(m.out) != "p\x00\x00\x00\x0eTHE-TOKEN\x00" {
		t.Errorf("%d, %v, sent %q", n, err, m.out)
	}
	if !g.end() || g.token != "" {
		t.Error("the end of the attempt: not sent, or the token is kept")
	}
}

func TestCancelConnectionCarriesACancelRequestAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer func() { _ = server.Close() }()
		d := &dialer{dial: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, err := d.DialContext(ctx, "unix", "/tmp")
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []string{"Q\x00\x00\x00\x05\x00", "\x00\x00\x00\x08\x00\x03\x00\x00", "p\x00\x00\x00\x05\x00", ""} {
			if _, err := conn.Write([]byte(b)); err == nil {
				t.Errorf("%q was sent", b)
			}
		}
		request := []byte{0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2}
		done := make(chan []byte, 1)
		go func() {
			b := make([]byte, 100)
			n, _ := server.Read(b)
			done <- b[:n]
		}()
		if _, err := conn.Write(request); err != nil || !bytes.Equal(<-done, request) {
			t.Errorf("the cancel request: %v", err)
		}
		// The server never hangs up.
		begun := time.Now()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 10*time.Second {
			t.Errorf("got %v after %v; want the end of the context's time", err, time.Since(begun))
		}
	})
}

func BenchmarkReadAfterTheLogin(b *testing.B) {
	m := &memory{}
	line := bytes.Repeat([]byte("x"), 100)
	g := &guard{Conn: m, state: over}
	p := make([]byte, 4096)
	for name, conn := range map[string]net.Conn{"guard": g, "bare": m} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				m.in.Reset(line)
				_, _ = conn.Read(p)
			}
		})
	}
}
