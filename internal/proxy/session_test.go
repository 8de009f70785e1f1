package proxy_test

import (
	"bytes"
	"testing"

	"github.com/azurepg/azurepg/internal/proxy"
)

func TestACancelRequestWithAWrongKeyGoesNowhere(t *testing.T) {
	leavesNothing(t)
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{})
	conn := s.dial(t)
	key := enter(t, conn)
	sleep(t, conn)
	wrong := bytes.Clone(key)
	wrong[len(wrong)-1]++
	for _, k := range [][]byte{wrong, key[:4], nil, bytes.Repeat([]byte{7}, 200)} {
		c := s.dial(t)
		write(t, c, cancelPacket(k))
		wantEnd(t, c)
	}
	if passed, stray := s.metric(t, "cancel_requests_total"), s.metric(t, "cancel_requests_stray_total"); passed != "0" || stray != "4" {
		t.Errorf("%s requests were passed on, and %s were stray; want 0 and 4", passed, stray)
	}
	c := s.dial(t)
	write(t, c, cancelPacket(key))
	wantEnd(t, c)
	if said := hear(t, conn, 'E'); !bytes.Contains(said, []byte("57014")) {
		t.Errorf("with the right key the query ended with %q", said)
	}
	_ = conn.Close()
	eventually(t, "the session is gone", func() bool { return s.metric(t, "sessions") == "0" })
	c = s.dial(t)
	write(t, c, cancelPacket(key))
	wantEnd(t, c)
	if stray := s.metric(t, "cancel_requests_stray_total"); stray != "5" {
		t.Errorf("after the session's end its key still counts: %s stray requests", stray)
	}
}

func TestAHalfClosedClientHearsItsAnswers(t *testing.T) {
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{})
	conn := s.dial(t)
	enter(t, conn)
	write(t, conn, query(t, "select pg_sleep(0.1), repeat('x', 100000)"))
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := len(hear(t, conn, 'D')); got < 100000 {
		t.Errorf("the row has %d bytes; want more than 100000", got)
	}
	wantEnd(t, conn)
}

// A client may send its first statement before it is let in.
func TestWhatAClientSaysDuringTheLoginIsNotLost(t *testing.T) {
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{})
	conn := s.dial(t)
	write(t, conn, append(bytes.Clone(goodPacket), query(t, "select 'first'")...))
	if row := hear(t, conn, 'D'); !bytes.Contains(row, []byte("first")) {
		t.Errorf("got %q", row)
	}
}
