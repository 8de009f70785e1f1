package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/azurepg/azurepg"
)

// The defaults of Options.
const (
	DefaultMaxConnections = 100
	DefaultStartupTimeout = 10 * time.Second
	DefaultDrainTimeout   = 20 * time.Second
)

// Options say how a Server serves. The zero value of a field is its default.
type Options struct {
	// AllowDatabase lets clients choose the database. False: they get the DSN's, and one
	// that names another is refused.
	AllowDatabase bool
	// MaxConnections limits the sessions, logins under way included. Zero or less: 100.
	// As many connections again may be open that have not said yet what they want.
	MaxConnections int
	// StartupTimeout limits the time until a client has sent its startup packet. Zero or
	// less: 10 s.
	StartupTimeout time.Duration
	// IdleTimeout ends sessions that wait so long for their client outside of a
	// transaction, with SQLSTATE 57P05. Zero or less: never.
	IdleTimeout time.Duration
	// DrainTimeout is how long sessions may go on once the Server ends. Zero: 20 s.
	// Negative: not at all.
	DrainTimeout time.Duration
	// Logger receives a line for each login that failed, and at level Debug for each
	// connection. Nil: silent.
	Logger *slog.Logger
}

// Server serves local clients. It is made by New, and safe for concurrent use.
type Server struct {
	options   Options
	connector *azurepg.Connector
	database  string // the DSN's; empty: the user's name
	user      string // the DSN's; empty: from the token
	writer    bool   // target_session_attrs wants sessions that can write

	doors    chan struct{} // a place for each connection
	places   chan struct{} // a place for each session
	draining atomic.Bool
	open     registry
	counters counters
	ready    readiness
}

// New returns a Server that logs in as cfg says; cfg.Base must be nil. It dials nothing
// and fetches no token. Its errors are *azurepg.DSNError.
func New(cfg *azurepg.Config, options Options) (*Server, error) {
	if cfg.Base != nil {
		return nil, &azurepg.DSNError{Key: "Base", Err: errors.New("the proxy has its own")}
	}
	cfg = cfg.Clone()
	cfg.Base = newBase
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	if options.MaxConnections <= 0 {
		options.MaxConnections = DefaultMaxConnections
	}
	if options.StartupTimeout <= 0 {
		options.StartupTimeout = DefaultStartupTimeout
	}
	if options.DrainTimeout == 0 {
		options.DrainTimeout = DefaultDrainTimeout
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{
		options: options, connector: connector, database: cfg.Database, user: cfg.User,
		writer: cfg.TargetSessionAttrs == "read-write" || cfg.TargetSessionAttrs == "primary",
		doors:  make(chan struct{}, 2*options.MaxConnections),
		places: make(chan struct{}, options.MaxConnections),
		ready:  readiness{lock: make(chan struct{}, 1)},
	}, nil
}

// Serve serves the clients of the listeners until ctx is done. Then it closes the
// listeners, lets sessions go on until they end or DrainTimeout has passed or now is
// done, tells those that are left SQLSTATE 57P01, and returns when the last connection
// is closed, or a second after now. It is called once. The error is of closing a
// listener.
func (s *Server) Serve(ctx, now context.Context, listeners ...net.Listener) error {
	// Connections live longer than ctx: to the end of the drain.
	lives, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if s.options.IdleTimeout > 0 {
		go s.endIdle(lives)
	}
	var accepting, serving sync.WaitGroup
	for _, l := range listeners {
		s.options.Logger.Info("listening", "network", l.Addr().Network(), "address", l.Addr().String())
		accepting.Go(func() { s.accept(ctx, lives, l, &serving) })
	}
	<-ctx.Done()
	s.draining.Store(true)
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	accepting.Wait()
	s.drain(now, end, &serving)
	return err
}

// lastWords is how long connections have after now, to say why they end and to cancel
// what the server does for them.
const lastWords = time.Second

// drain waits for the connections to end by themselves, and then ends their lives. A
// server that does not answer a cancel request holds up nothing after now.
func (s *Server) drain(now context.Context, end func(), serving *sync.WaitGroup) {
	s.options.Logger.Info("draining", "connections", len(s.doors), "timeout", max(0, s.options.DrainTimeout).String())
	ended, late := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		serving.Wait()
	}()
	defer context.AfterFunc(now, func() { time.AfterFunc(lastWords, func() { close(late) }) })()
	limit := time.NewTimer(s.options.DrainTimeout)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
	case <-now.Done():
	}
	end()
	select {
	case <-ended:
	case <-late:
		s.options.Logger.Warn("ended before all connections had", "connections", len(s.doors))
	}
}

// accept serves each connection of l in a goroutine until l is closed.
func (s *Server) accept(ctx, lives context.Context, l net.Listener, serving *sync.WaitGroup) {
	var pause time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no file descriptor is left, for instance: that passes
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.options.Logger.Error("no connection can be accepted, trying again", "error", err.Error(), "pause", pause.String())
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		default:
			pause = 0
			s.enter(lives, conn, serving)
		}
	}
}

// enter serves a connection if there is a door left for it.
func (s *Server) enter(lives context.Context, conn net.Conn, serving *sync.WaitGroup) {
	s.counters.accepted.Add(1)
	select {
	case s.doors <- struct{}{}:
		serving.Go(func() {
			defer func() { <-s.doors }()
			s.serve(lives, conn)
		})
	default: // there are too many to ask this one what it wants
		s.counters.rejected.Add(1)
		_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
		_ = send(conn, tooMany(s.options.MaxConnections))
		_ = conn.Close()
	}
}

func tooMany(n int) *reply {
	r := answer(codeTooMany, "azurepg proxy: sorry, too many clients already")
	r.Detail = "The proxy has room for " + strconv.Itoa(n) + " connections (-max-connections)."
	return r
}

// serve serves one client, to the end of its connection.
func (s *Server) serve(lives context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	_ = client.SetDeadline(time.Now().Add(s.options.StartupTimeout))
	stop := context.AfterFunc(lives, func() { _ = client.SetDeadline(past) })
	asked, cancelKey, err := readStartup(client)
	stop()
	switch {
	case cancelKey != nil:
		s.cancel(lives, cancelKey)
	case err == nil:
		err = s.admit(lives, client, asked)
		if err != nil && !errors.Is(err, errGone) {
			s.refuse(lives, client, err)
		}
	case errors.As(err, new(*reply)):
		s.counters.garbled.Add(1)
		s.refuse(lives, client, err)
	default:
		s.counters.garbled.Add(1)
		s.options.Logger.Debug("connection without a startup packet", "error", err.Error())
	}
}

// admit gives a client one of the places, and its session.
func (s *Server) admit(lives context.Context, client net.Conn, asked *startup) error {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		s.counters.rejected.Add(1)
		return tooMany(s.options.MaxConnections)
	}
	server, prefix, err := s.logIn(lives, client, asked)
	switch {
	case err == nil:
		s.counters.sessions.Add(1)
		s.session(lives, client, server, prefix)
	case !errors.Is(err, errGone):
		s.counters.failed.Add(1)
	}
	return err
}

// refuse tells a client why it is not logged in.
func (s *Server) refuse(lives context.Context, client net.Conn, err error) {
	r := replyTo(err)
	switch {
	case errors.As(err, new(*reply)):
		s.options.Logger.Info("client refused", "sqlstate", r.Code, "error", err.Error())
	case lives.Err() != nil:
		r = answer(codeCannotConnect, "azurepg proxy: it is shutting down")
	default:
		s.options.Logger.Warn("login failed", "sqlstate", r.Code, "error", err.Error())
	}
	// The client may not have read yet, and what it has sent meanwhile would reset the
	// connection and destroy the message, were it closed at once.
	const farewell = 2 * time.Second
	_ = client.SetDeadline(time.Now().Add(farewell))
	if send(client, r) == nil {
		closeWrite(client)
		_, _ = io.CopyN(io.Discard, client, maxStartup)
	}
}

// send writes an ErrorResponse.
func send(w io.Writer, r *reply) error {
	packet, err := r.Encode(nil)
	if err != nil {
		return err
	}
	_, err = w.Write(packet)
	return err
}

func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
