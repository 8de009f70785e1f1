package proxy

import (
	"context"
	"io"
	"net/http"
	"time"
)

// readyFor is how long an answer of /readyz serves: probes beyond that log in.
const readyFor = 5 * time.Second

// readiness is the latest outcome of a login for /readyz.
type readiness struct {
	lock  chan struct{} // full during a login, which probes at the same time share
	until time.Time
	err   error
}

// Health returns the handler of /livez, which answers as long as the process does,
// /readyz, which logs in to the server, at most every 5 s, and fails once the Server
// ends, and /metrics. Nothing that it says is secret, but errors name hosts and roles.
func (s *Server) Health() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			say(w, http.StatusServiceUnavailable, "azurepg proxy is ending")
			return
		}
		if err := s.isReady(r.Context()); err != nil {
			say(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		say(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s.writeMetrics(w)
	})
	return mux
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n")
}

// isReady returns why no login is possible, or nil. A probe that gives up does not spoil
// the login for the others.
func (s *Server) isReady(ctx context.Context) error {
	select {
	case s.ready.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.ready.lock }()
	if time.Now().Before(s.ready.until) {
		return s.ready.err
	}
	conn, err := s.connector.Connect(context.WithoutCancel(ctx))
	if err == nil {
		_ = conn.Close()
	} else {
		s.options.Logger.Warn("not ready", "error", err.Error())
	}
	s.ready.err, s.ready.until = err, time.Now().Add(readyFor)
	return err
}
