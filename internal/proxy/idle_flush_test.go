package proxy_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg/internal/proxy"
)

// Between its first message and its Sync a pipeline is in a transaction, though the
// server has not said so: libpq's PQsendFlushRequest leaves it there for as long as a
// statement takes.
func TestAPipelineWithoutItsSyncIsBusy(t *testing.T) {
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{IdleTimeout: 300 * time.Millisecond})
	conn := s.dial(t)
	packet := bytes.Clone(goodPacket)
	for _, m := range []pgproto3.FrontendMessage{
		&pgproto3.Parse{Query: "select pg_sleep(1.5), 'done'"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{},
	} {
		var err error
		if packet, err = m.Encode(packet); err != nil {
			t.Fatal(err)
		}
	}
	write(t, conn, packet)
	if row := hear(t, conn, 'D'); !bytes.Contains(row, []byte("done")) {
		t.Fatalf("the statement was cut, got %q", row)
	}
	sync, err := (&pgproto3.Sync{}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, conn, sync)
	if status := hear(t, conn, 'Z'); string(status) != "I" {
		t.Errorf("after its Sync the status is %q", status)
	}
	wantError(t, conn, "57P05") // now it is idle
}
