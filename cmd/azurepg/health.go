package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/azurepg/azurepg/internal/proxy"
)

// healthConnections is how many clients -health has at a time. Probes and Prometheus are
// a few.
const healthConnections = 100

// serveHealth serves at address until end is called: to the end of the drain.
func serveHealth(ctx context.Context, address string, server *proxy.Server, logger *slog.Logger) (end func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &exitError{exitUsage, errors.New("-health: nothing can listen there: give HOST:PORT of this machine, and a port that is free")}
	}
	web := newWeb(server, logger)
	logger.Info("health", "address", l.Addr().String())
	go func() { _ = web.Serve(newLimited(l, healthConnections)) }()
	return func() { _ = web.Close() }, nil
}

// newWeb returns a server that no client holds on to for more than a minute, whether it
// says nothing or does not read.
func newWeb(server *proxy.Server, logger *slog.Logger) *http.Server {
	const patience = 10 * time.Second
	return &http.Server{
		Handler: server.Health(), ReadHeaderTimeout: patience, ReadTimeout: patience,
		WriteTimeout:   6 * patience, // a login for /readyz included
		IdleTimeout:    6 * patience,
		MaxHeaderBytes: 1 << 14, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// A limited listener hangs up on clients beyond its limit.
type limited struct {
	net.Listener
	places chan struct{} // one for each connection
}

func newLimited(l net.Listener, n int) *limited { return &limited{l, make(chan struct{}, n)} }

// Accept returns the next connection that there is a place for.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &placed{conn, sync.OnceFunc(func() { <-l.places })}, nil
		default:
			_ = conn.Close()
		}
	}
}

// A placed connection has a place until it is closed.
type placed struct {
	net.Conn
	leave func()
}

// Close closes the connection and leaves its place.
func (c *placed) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
