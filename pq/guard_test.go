package pq_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	libpq "github.com/lib/pq"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/pq"
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestNothingButARequestForACleartextPasswordIsAnswered(t *testing.T) {
	for _, row := range []struct {
		name   string
		script func(net.Conn)
		tokens int // how often the token may be seen
		says   string
	}{
		{"nothing is asked", says(join(letIn, ready)), 0, "asked for no password"},
		{"ready without a word", says(ready), 0, "asked for no password"},
		{"a parameter before the password", says(message('S', "a\x00b\x00")), 0, "asked for no password"},
		{"a key before the password", says(message('K', "\x00\x00\x00\x01\x00\x00\x00\x02")), 0, "asked for no password"},
		{"Kerberos 5", says(authentication(2, "")), 0, "kind 2"},
		{"an MD5 hash", says(authentication(5, "salt")), 0, "an MD5 hash"},
		{"SCM", says(authentication(6, "")), 0, "kind 6"},
		{"GSSAPI", says(authentication(7, "")), 0, "GSSAPI"},
		{"GSSAPI, continued", says(authentication(8, "x")), 0, "GSSAPI"},
		{"SSPI", says(authentication(9, "")), 0, "SSPI"},
		{"SCRAM", says(authentication(10, "SCRAM-SHA-256\x00\x00")), 0, "SCRAM"},
		{"SCRAM, continued", says(authentication(11, "r=x")), 0, "SCRAM"},
		{"SCRAM, at its end", says(authentication(12, "v=x")), 0, "SCRAM"},
		{"the password, twice", says(askPassword, nil, askPassword, nil), 1, "twice"},
		{"an MD5 hash after the password", says(askPassword, nil, authentication(5, "salt")), 1, "an MD5 hash"},
		{"ready after the password, but not let in", says(askPassword, nil, ready), 1, "asked for no password"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &fakeServer{script: row.script}
			conn, err := logIn(t, s)
			if conn != nil {
				_ = conn.Close()
			}
			if err == nil || conn != nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v, %v; want nil and %q", conn, err, row.says)
			}
			got := s.sent()[0]
			if n := bytes.Count(got, []byte(bearer)); n != row.tokens {
				t.Errorf("the token was sent %d times; want %d", n, row.tokens)
			}
			if bytes.Contains(got, []byte("\x00azurepg\x00")) || bytes.Contains(got, []byte("md5")) || bytes.Contains(got, []byte("SCRAM")) {
				t.Errorf("lib/pq's own answer was sent: %q", got)
			}
		})
	}
}

func TestMalformedLoginIsAnErrorAndNoPanic(t *testing.T) {
	in := join(letIn, message('S', "TimeZone\x00UTC\x00"))
	for _, row := range []struct {
		name   string
		before []byte // of the request for a password
		after  []byte // of the password
	}{
		{"no message at all", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), nil},
		{"a server that cannot fork", []byte("Ecould not fork new process for connection\n\x00"), nil},
		{"a length below its own", []byte{'R', 0, 0, 0, 3}, nil},
		{"a length of 2 GB", []byte{'R', 0x7f, 0xff, 0xff, 0xff}, nil},
		{"a length of 4 GB", []byte{'R', 0xff, 0xff, 0xff, 0xff}, nil},
		{"an authentication request without its kind", message('R', ""), nil},
		{"an error without an end", message('E', "Mrefused"), nil},
		{"an error without fields' end", message('E', "Mrefused\x00"), nil},
		{"an empty error", message('E', ""), nil},
		{"an error of 100 kB", message('E', "M"+strings.Repeat("x", 100_000)+"\x00\x00"), nil},
		{"half a message", askPassword[:7], nil},
		{"a protocol version cut off", message('v', "\x00"), nil},
		{"a row", message('D', "\x00\x00"), nil},
		{"a notification", nil, join(letIn, message('A', "\x00"))},
		{"a parameter without an end", nil, join(in, message('S', "TimeZone"))},
		{"a parameter without a value", nil, join(in, message('S', "TimeZone\x00"))},
		{"an empty parameter", nil, join(in, message('S', ""))},
		{"a key cut off", nil, join(in, message('K', "\x00\x00"))},
		{"ready, without its state", nil, join(in, message('Z', ""))},
	} {
		t.Run(row.name, func(t *testing.T) {
			script := says(row.before)
			if row.after != nil {
				script = says(askPassword, nil, row.after)
			}
			s := &fakeServer{script: hangsUp(script)}
			conn, err := logIn(t, s)
			if err == nil || conn != nil {
				t.Fatalf("got %v, %v; want nil and an error", conn, err)
			}
			if says := "does not belong to a login"; row.name != "half a message" && !strings.Contains(err.Error(), says) {
				t.Errorf("got %v; want that it %s", err, says)
			}
			if strings.ContainsAny(err.Error(), "\r\n\x00") || len(err.Error()) > 1100 || strings.Contains(err.Error(), bearer) {
				t.Errorf("got %q; want one short line", err)
			}
			if got := bytes.Count(s.sent()[0], []byte(bearer)); got != 0 && row.after == nil {
				t.Error("the token was sent")
			}
		})
	}
}

func TestLoginMayComeInPiecesAndWithNotices(t *testing.T) {
	notice := message('N', "SNOTICE\x00Mhello\x00\x00")
	all := join(notice, askPassword)
	rest := join(notice, message('v', "\x00\x03\x00\x00\x00\x00\x00\x00"), letIn, notice, message('S', "server_version\x0015.0\x00"), message('K', "\x00\x00\x00\x01\x00\x00\x00\x02"), notice, ready)
	pieces := func(conn net.Conn, b []byte) {
		for i := range b {
			if _, err := conn.Write(b[i : i+1]); err != nil {
				return
			}
		}
	}
	s := &fakeServer{script: func(conn net.Conn) {
		readStartup(conn)
		pieces(conn, all)
		if got := string(readMessage(conn)); got != bearer+"\x00" {
			t.Errorf("the password is %q", got)
		}
		pieces(conn, rest)
		readMessage(conn) // ping
		pieces(conn, join(message('I', ""), ready))
	}}
	conn, err := logIn(t, s)
	if err != nil {
		s.sent()
		t.Fatal(err)
	}
	if err := conn.(driver.Pinger).Ping(context.Background()); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
	s.sent()
}

func TestRefusalIsTheServersOwnErrorWithoutTheToken(t *testing.T) {
	long := strings.Repeat("x", 10_000) // more than lib/pq reads at a time
	s := &fakeServer{script: says(askPassword, nil, message('E', "SFATAL\x00C28P01\x00Mno "+bearer+"\x00D"+long+bearer+"\x00\x00"))}
	_, err := logIn(t, s)
	var server *libpq.Error
	if !errors.As(err, &server) || server.Code != "28P01" || server.Message != "no [redacted]" || server.Detail != long+"[redacted]" {
		t.Errorf("got %.200v; want lib/pq's error with the token taken out", err)
	}
	var asked interface{ PasswordSent() bool }
	if !errors.As(err, &asked) || !asked.PasswordSent() {
		t.Error("PasswordSent() is false")
	}
	s.sent()
}

func TestStartUpPacketSaysWhatTheConfigSaysAndNothingTwice(t *testing.T) {
	open, err := pq.Base(&azurepg.Config{
		Hosts: []azurepg.Host{{Name: "/db.example.com"}}, Database: "shop", // lib/pq would take the name for a unix socket
		RuntimeParams: map[string]string{"client_encoding": "utf-8", "datestyle": "iso,mdy", "application_name": "mine", "search_path": "a"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{script: hangsUp(says())}
	if _, err := open(t.Context(), azurepg.Login{User: "app", Password: bearer, Dial: s.dial}); err == nil {
		t.Fatal("connected")
	}
	fields := strings.Split(strings.TrimRight(string(s.sent()[0][8:]), "\x00"), "\x00")
	got := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		got[fields[i]] += fields[i+1]
	}
	want := map[string]string{"user": "app", "database": "shop", "client_encoding": "UTF8", "datestyle": "ISO, MDY", "application_name": "mine", "search_path": "a"}
	if !maps.Equal(got, want) {
		t.Errorf("sent %q; want %q", got, want)
	}
}

func TestQueryIsCancelledOnAConnectionOfItsOwn(t *testing.T) {
	queried, cancelled := make(chan struct{}), make(chan struct{})
	s := &fakeServer{
		script: func(conn net.Conn) {
			says(askPassword, nil, join(letIn, message('K', "\x00\x00\x00\x07\x01\x02\x03\x04"), ready), nil)(conn)
			close(queried)
			<-cancelled
			_, _ = conn.Write(join(message('E', "SERROR\x00C57014\x00Mcancelled\x00\x00"), ready))
		},
		later: hangsUp(func(conn net.Conn) {
			readStartup(conn)
			close(cancelled)
		}),
	}
	conn, err := logIn(t, s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-queried
		cancel()
	}()
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, "select pg_sleep(60)", nil)
	var server *libpq.Error
	if !errors.As(err, &server) || server.Code != "57014" {
		t.Errorf("got %v; want 57014", err)
	}
	_ = conn.Close()
	want := []byte{0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 7, 1, 2, 3, 4}
	if got := s.sent(); len(got) != 2 || !bytes.Equal(got[1], want) {
		t.Errorf("the connections sent %v; want two, and in the second %v", got, want)
	}
}

func TestSilentServerIsLeftWhenTheContextEnds(t *testing.T) {
	s := &fakeServer{script: func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("my reason"))
	defer cancel()
	conn, err := logInWith(ctx, t, s)
	if conn != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "my reason") {
		t.Errorf("got %v, %v; want DeadlineExceeded and its cause", conn, err)
	}
	s.sent()
	if s.open != 0 {
		t.Error("the connection was left open")
	}
}
