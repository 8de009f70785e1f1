package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// session is a client and a server that talk to each other.
type session struct {
	client net.Conn
	server *upstream

	fromServer, fromClient frames // each of the goroutine that reads there

	// unanswered counts what the server answers with ReadyForQuery, less those answers: a
	// query, a function call, and a pipeline from its first message on. A Sync within a
	// COPY has no answer: it makes the count too large, and the session passes for busy.
	unanswered atomic.Int64
	// inPipeline: its Sync is still to come. It is of the goroutine that reads from the
	// client.
	inPipeline bool
	status     atomic.Uint32 // of the transaction: I, T or E, as the server last said
	active     atomic.Int64  // when bytes last went through, in Unix nanoseconds

	// demoted: the server refused a write because the session is read-only. It is of the
	// goroutine that reads from the server.
	demoted bool

	why atomic.Pointer[reply] // the proxy ends the session, and says so to the client
}

// session writes the end of the login to the client and passes bytes on until both
// sides have ended, or lives is done.
func (s *Server) session(lives context.Context, client net.Conn, server *upstream, prefix []byte) {
	began := time.Now()
	x := &session{client: client, server: server}
	x.fromServer.seen, x.fromClient.seen = x.serverSaid, x.clientSaid
	if s.writer {
		x.fromServer.failed = x.serverFailed
	}
	x.status.Store('I')
	x.unanswered.Store(1) // the login itself, which ends in ReadyForQuery too
	x.active.Store(began.UnixNano())
	s.open.add(x)
	defer s.open.remove(x)
	defer func() { _ = server.Close() }()
	s.options.Logger.Debug("session began", "host", server.address)
	stop := context.AfterFunc(lives, func() { x.end(answer(codeShutdown, "terminating connection: azurepg proxy is shutting down")) })
	defer stop()

	toServer, toClient := new(atomic.Uint64), new(atomic.Uint64)
	x.run(prefix, &s.counters, toServer, toClient)
	s.options.Logger.Debug("session ended", "host", server.address, "seconds", time.Since(began).Seconds(),
		"bytes_from_client", toServer.Load(), "bytes_to_client", toClient.Load())
	if x.why.Load() != nil && x.unanswered.Load() > 0 {
		s.interrupt(lives, server)
	}
}

// run passes bytes on. When the client has ended, the server is told so and may finish
// what it has to say; when the server has, nobody is left to listen to the client.
func (x *session) run(prefix []byte, c *counters, toServer, toClient *atomic.Uint64) {
	welcome := x.server.welcome
	x.server.welcome = nil
	var other sync.WaitGroup
	other.Go(func() { x.toServer(prefix, toServer, &c.fromClients) })
	counted := []*atomic.Uint64{toClient, &c.toClients}
	err := x.pass(x.client, welcome, &x.fromServer, counted...)
	if err == nil {
		_, err = x.pump(x.client, x.server, &x.fromServer, counted...)
	}
	if why := x.why.Load(); why != nil && err == nil && x.fromServer.between() {
		_ = x.client.SetWriteDeadline(time.Now().Add(time.Second))
		_ = send(x.client, why)
	}
	closeWrite(x.client)
	_ = x.client.Close()
	_ = x.server.SetWriteDeadline(past) // the other goroutine may be in a write
	other.Wait()
}

// toServer passes on what the client says.
func (x *session) toServer(prefix []byte, counted ...*atomic.Uint64) {
	ended, err := io.EOF, x.pass(x.server, prefix, &x.fromClient, counted...)
	if err == nil {
		ended, err = x.pump(x.server, x.client, &x.fromClient, counted...)
	}
	switch {
	case err != nil: // the server is gone; it may have said why
		_ = x.server.SetReadDeadline(time.Now().Add(time.Second))
	case ended == io.EOF:
		closeWrite(x.server.Conn)
	default: // the client is gone and will read nothing more
		_ = x.server.SetReadDeadline(past)
	}
}

// end ends the session. The client is told why if it is between two messages.
func (x *session) end(why *reply) {
	if x.why.CompareAndSwap(nil, why) {
		_ = x.server.SetReadDeadline(past)
		_ = x.client.SetDeadline(past)
	}
}

// The sizes of the buffers, in bytes. A session that waits has the small one.
const (
	smallBuffer = 1 << 10
	largeBuffer = 16 << 10 // a TLS record holds no more
)

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// pump passes on what src says until one of the two fails: src has ended if that is with
// io.EOF.
func (x *session) pump(dst, src net.Conn, f *frames, counted ...*atomic.Uint64) (srcErr, dstErr error) {
	var small [smallBuffer]byte
	var large *[largeBuffer]byte
	defer func() {
		if large != nil {
			largeBuffers.Put(large)
		}
	}()
	buffer := small[:]
	for {
		n, err := src.Read(buffer)
		if n > 0 {
			if err := x.pass(dst, buffer[:n], f, counted...); err != nil {
				return nil, err
			}
			if f == &x.fromServer && x.demoted {
				x.endDemoted()
			}
		}
		switch {
		case err != nil:
			return err, nil
		case n == smallBuffer && large == nil:
			large = largeBuffers.Get().(*[largeBuffer]byte)
			buffer = large[:]
		case n < smallBuffer && large != nil:
			largeBuffers.Put(large)
			large, buffer = nil, small[:]
		}
	}
}

// pass writes p to dst.
func (x *session) pass(dst net.Conn, p []byte, f *frames, counted ...*atomic.Uint64) error {
	if len(p) == 0 {
		return nil
	}
	f.read(p)
	x.active.Store(time.Now().UnixNano())
	n, err := dst.Write(p)
	for _, c := range counted {
		c.Add(uint64(n))
	}
	return err
}

func (x *session) clientSaid(kind, _ byte) {
	const sync, functionCall = 'S', 'F'
	const pipelined = "PBDECH" // Parse, Bind, Describe, Execute, Close, Flush
	switch {
	case kind == sync && x.inPipeline:
		x.inPipeline = false
	case kind == msgQuery || kind == sync || kind == functionCall:
		x.unanswered.Add(1)
	case !x.inPipeline && strings.IndexByte(pipelined, kind) >= 0:
		x.inPipeline = true
		x.unanswered.Add(1)
	}
}

func (x *session) serverSaid(kind, first byte) {
	if kind == msgReadyForQuery {
		x.status.Store(uint32(first))
		x.unanswered.Add(-1)
	}
}

// serverFailed looks for a refused write.
func (x *session) serverFailed(beginning []byte) {
	const readOnlySQLTransaction = "\x00C25006\x00"
	x.demoted = x.demoted || bytes.Contains(beginning, []byte(readOnlySQLTransaction))
}

// endDemoted ends a session that cannot write any more once its transaction has ended:
// target_session_attrs wants another, and a pool would keep it.
func (x *session) endDemoted() {
	if _, idle := x.idleSince(); idle {
		x.end(answer(codeShutdown, "terminating connection: it is read-only, and target_session_attrs of azurepg proxy wants another"))
	}
}

// idleSince returns since when the session waits for its client outside of a
// transaction.
func (x *session) idleSince() (since time.Time, idle bool) {
	idle = x.unanswered.Load() <= 0 && x.status.Load() == 'I'
	return time.Unix(0, x.active.Load()), idle
}
