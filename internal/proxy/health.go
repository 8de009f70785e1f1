package proxy

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// readyFor is how long an answer of /readyz serves: probes beyond that log in.
const readyFor = 5 * time.Second

// readiness is the latest outcome of a login for /readyz.
type readiness struct {
	mu    sync.Mutex // held during a login: probes at the same time share it
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
		// A probe that gives up does not spoil the answer for the others.
		if err := s.isReady(context.WithoutCancel(r.Context())); err != nil {
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

// isReady returns why no login is possible, or nil.
func (s *Server) isReady(ctx context.Context) error {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if time.Now().Before(s.ready.until) {
		return s.ready.err
	}
	conn, err := s.connector.Connect(ctx)
	if err == nil {
		_ = conn.Close()
	} else {
		s.options.Logger.Warn("not ready", "error", err.Error())
	}
	s.ready.err, s.ready.until = err, time.Now().Add(readyFor)
	return err
}
