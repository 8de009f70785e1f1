package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// errGone says that a client has left while its login was under way.
var errGone = errors.New("the client has left")

// logIn logs in to the server for a client, and says so to it. It also returns what the
// client has sent meanwhile.
func (s *Server) logIn(lives context.Context, client net.Conn, asked *startup) (_ *upstream, prefix []byte, err error) {
	if asked.replication {
		return nil, nil, answer(codeUnsupported, "azurepg proxy: replication connections do not go through the proxy")
	}
	ctx, cancel := context.WithCancelCause(lives)
	defer cancel(nil)
	_ = client.SetDeadline(time.Time{})
	w := watch(client, func() { cancel(errGone) })
	server, err := s.connect(ctx, asked)
	prefix = w.stop()
	if err == nil && ctx.Err() != nil {
		_ = server.Close()
		err = context.Cause(ctx)
	}
	if errors.Is(context.Cause(ctx), errGone) {
		err = errGone
	}
	return server, prefix, err
}

// connect opens the session on the server that a client asked for.
func (s *Server) connect(ctx context.Context, asked *startup) (*upstream, error) {
	dsn, err := s.defaultDatabase(ctx)
	if err != nil {
		return nil, err
	}
	database, err := asked.chosen(dsn, s.options.AllowDatabase)
	if err != nil {
		return nil, err
	}
	conn, err := s.connector.Connect(withRequest(ctx, request{database, asked.params}))
	if err != nil {
		return nil, err
	}
	server, ok := conn.(*upstream)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("azurepg proxy: %T is no connection of this base", conn)
	}
	if asked.newer {
		server.welcome = append(asked.negotiated(), server.welcome...)
	}
	return server, nil
}

// defaultDatabase is the DSN's, which is the role's name if it has none.
func (s *Server) defaultDatabase(ctx context.Context) (string, error) {
	switch {
	case s.database != "":
		return s.database, nil
	case s.user != "":
		return s.user, nil
	}
	l, err := s.connector.Login(ctx)
	return l.User, err
}

// negotiated says to a client that it gets protocol 3.0 and none of the options it asked
// for. PostgreSQL sends the version whole, whatever the name of the field.
func (s *startup) negotiated() []byte {
	message, err := (&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: protocol3, UnrecognizedOptions: s.unknown}).Encode(nil)
	if err != nil {
		return nil // it is no longer than the startup packet was
	}
	return message
}

// A watcher waits for a client to leave while nothing is to be heard from it.
type watcher struct {
	client net.Conn
	done   chan struct{}
	read   []byte
}

func watch(client net.Conn, gone func()) *watcher {
	w := &watcher{client: client, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		var one [1]byte
		n, err := client.Read(one[:])
		w.read = one[:n]
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			gone()
		}
	}()
	return w
}

// stop ends the watch, and returns what was read.
func (w *watcher) stop() []byte {
	_ = w.client.SetReadDeadline(past)
	<-w.done
	_ = w.client.SetReadDeadline(time.Time{})
	return w.read
}
