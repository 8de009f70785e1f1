package proxy

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// serverThatSays says these from the beginning, whatever it hears, and keeps what it hears.
func serverThatSays(t *testing.T, messages ...pgproto3.BackendMessage) *duplex {
	t.Helper()
	var says []byte
	for _, m := range messages {
		var err error
		if says, err = m.Encode(says); err != nil {
			t.Fatal(err)
		}
	}
	return &duplex{Reader: bytes.NewReader(says)}
}

func TestALoginThatIsNoneFails(t *testing.T) {
	asks, lets := &pgproto3.AuthenticationCleartextPassword{}, &pgproto3.AuthenticationOk{}
	ready := &pgproto3.ReadyForQuery{TxStatus: 'I'}
	long := &pgproto3.ParameterStatus{Name: "x", Value: strings.Repeat("y", maxWelcome/2)}
	for name, tt := range map[string]struct {
		says []pgproto3.BackendMessage
		sent int // how often the token was
	}{
		"asks twice":                    {[]pgproto3.BackendMessage{asks, asks, lets, ready}, 1},
		"lets in twice":                 {[]pgproto3.BackendMessage{asks, lets, lets, ready}, 1},
		"asks once it has let in":       {[]pgproto3.BackendMessage{asks, lets, asks, ready}, 1},
		"asks for nothing":              {[]pgproto3.BackendMessage{lets, ready}, 0},
		"ready at once":                 {[]pgproto3.BackendMessage{ready}, 0},
		"ready before it lets in":       {[]pgproto3.BackendMessage{asks, ready}, 1},
		"a parameter before it lets in": {[]pgproto3.BackendMessage{asks, &pgproto3.ParameterStatus{Name: "x", Value: "y"}, lets, ready}, 1},
		"a key before it lets in":       {[]pgproto3.BackendMessage{asks, &pgproto3.BackendKeyData{SecretKey: []byte{1, 2, 3, 4}}, lets, ready}, 1},
		"says no end of parameters":     {[]pgproto3.BackendMessage{asks, lets, long, long, long, ready}, 1},
	} {
		s := serverThatSays(t, tt.says...)
		l := &login{conn: s, token: "HUNTER2"}
		err := l.run("app", "shop", nil)
		if n := strings.Count(s.String(), "HUNTER2"); err == nil || strings.Contains(err.Error(), "HUNTER2") || n != tt.sent {
			t.Errorf("%s: got %v, and the token was sent %d times; want an error, and %d", name, err, n, tt.sent)
		}
	}
}

// Whatever a packet says, and however it got there.
func TestUserAndDatabaseAreNoParameters(t *testing.T) {
	s := serverThatSays(t, &pgproto3.AuthenticationCleartextPassword{}, &pgproto3.AuthenticationOk{}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	if err := (&login{conn: s, token: "HUNTER2"}).run("app", "shop", map[string]string{"user": "evil", "database": "evil"}); err != nil {
		t.Fatal(err)
	}
	packet := s.Bytes()
	asked, err := parseStartup(packet[4:binary.BigEndian.Uint32(packet)])
	if err != nil || asked.user != "app" || asked.database != "shop" || bytes.Contains(packet, []byte("evil")) {
		t.Errorf("the server was asked for %+v, %v", asked, err)
	}
}

func TestNoFieldOfAnErrorHoldsTheToken(t *testing.T) {
	const token = "HUNTER2 of no form that is known"
	var body []byte
	for field := byte('A'); field <= 'z'; field++ {
		if field <= 'Z' || field >= 'a' {
			body = append(append(append(body, field), token...), 0)
		}
	}
	err := newServerError(append(body, 0), token)
	packet, _ := replyTo(failedAt(t, err)).Encode(nil)
	if strings.Contains(string(packet)+err.Error(), "HUNTER2") {
		t.Errorf("the client is told %q", packet)
	}
}

// Two hosts can give the same key. The session that began last has it, to its own end.
func TestTheEndOfASessionTakesNoOthersKey(t *testing.T) {
	var r registry
	key := []byte("12345678")
	first, second := &session{server: &upstream{cancelKey: key}}, &session{server: &upstream{cancelKey: key}}
	r.add(first)
	r.add(second)
	r.remove(first)
	if r.withKey(key) != second {
		t.Error("the second session cannot be cancelled any more")
	}
	r.remove(second)
	if r.withKey(key) != nil || r.count() != 0 {
		t.Error("a session that has ended is still there")
	}
}
