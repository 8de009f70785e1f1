package proxy

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// In the midst of a message nothing can be said to the client: it would be read as a part
// of that.
func TestAnEndWithinAMessageIsSilent(t *testing.T) {
	const half = "D\x00\x00\x00\x64half"
	client, clients := net.Pipe()
	server, servers := net.Pipe()
	defer servers.Close()
	x := &session{client: client, server: &upstream{Conn: server, welcome: []byte(half)}}
	x.fromServer.seen, x.fromClient.seen = x.serverSaid, x.clientSaid
	go x.run(nil, new(counters), new(atomic.Uint64), new(atomic.Uint64))
	if _, err := io.ReadFull(clients, make([]byte, len(half))); err != nil {
		t.Fatal(err)
	}
	x.end(answer(codeShutdown, "terminating connection"))
	if said, err := io.ReadAll(clients); len(said) > 0 || err != nil {
		t.Errorf("got %q, %v", said, err)
	}
}
