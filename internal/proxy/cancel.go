package proxy

import (
	"context"
	"encoding/binary"
	"io"
	"time"
)

// cancelTimeout limits a cancel request, from the dial until the server has hung up.
const cancelTimeout = 10 * time.Second

// cancel passes a client's cancel request on to the host of the session with that key.
// Clients have the server's own keys, whose process ids they may want to show. A key of
// no open session here goes nowhere. Like PostgreSQL it reports nothing: the client
// waits for the end of its connection.
func (s *Server) cancel(ctx context.Context, key []byte) {
	x := s.open.withKey(key)
	if x == nil {
		s.counters.strayCancels.Add(1)
		s.options.Logger.Debug("cancel request for no session of this proxy")
		return
	}
	s.interrupt(ctx, x.server)
}

// interrupt cancels what the server does for a session.
func (s *Server) interrupt(ctx context.Context, server *upstream) {
	if server.cancelKey == nil {
		return
	}
	s.counters.cancels.Add(1)
	// A session that ends with the proxy is cancelled too.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer done()
	if err := sendCancel(ctx, server); err != nil {
		s.options.Logger.Warn("cancel request failed", "host", server.address, "error", err.Error())
	}
}

func sendCancel(ctx context.Context, server *upstream) error {
	conn, err := server.dial(ctx, "tcp", server.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(8+len(server.cancelKey)))
	packet = binary.BigEndian.AppendUint32(packet, cancelCode)
	if _, err := conn.Write(append(packet, server.cancelKey...)); err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, conn, 1) // it says nothing, and hangs up when it is done
	if err == io.EOF {
		return nil
	}
	return err
}
