package proxy

import (
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
)

// counters count what happened since the start.
type counters struct {
	accepted, rejected, garbled atomic.Uint64 // connections
	sessions, failed            atomic.Uint64 // of clients that asked for a session
	cancels, strayCancels       atomic.Uint64
	fromClients, toClients      atomic.Uint64 // bytes of sessions
}

// metric is one number.
type metric struct {
	name, kind, help string
	value            float64
}

// metrics returns all numbers, in order.
func (s *Server) metrics() []metric {
	c, stats := &s.counters, s.connector.Stats()
	number := func(n *atomic.Uint64) float64 { return float64(n.Load()) }
	expires, draining := 0.0, 0.0
	if end := stats.Tokens.ExpiresOn; !end.IsZero() {
		expires = float64(end.Unix())
	}
	if s.draining.Load() {
		draining = 1
	}
	return []metric{
		{"connections_accepted_total", "counter", "Connections of clients.", number(&c.accepted)},
		{"connections_rejected_total", "counter", "Connections beyond the limit.", number(&c.rejected)},
		{"connections_garbled_total", "counter", "Connections without a valid startup packet in time.", number(&c.garbled)},
		{"connections", "gauge", "Connections of clients that are open.", float64(len(s.doors))},
		{"sessions_total", "counter", "Sessions of clients that were logged in.", number(&c.sessions)},
		{"sessions", "gauge", "Sessions that are open.", float64(s.open.count())},
		{"sessions_limit", "gauge", "Sessions that may be open.", float64(s.options.MaxConnections)},
		{"sessions_failed_total", "counter", "Clients that were told why they are not logged in.", number(&c.failed)},
		{"cancel_requests_total", "counter", "Cancel requests passed on.", number(&c.cancels)},
		{"cancel_requests_stray_total", "counter", "Cancel requests with the key of no open session.", number(&c.strayCancels)},
		{"bytes_from_clients_total", "counter", "Bytes from clients to the server, logins apart.", number(&c.fromClients)},
		{"bytes_to_clients_total", "counter", "Bytes from the server to clients.", number(&c.toClients)},
		{"server_logins_total", "counter", "Logins to the server, those of /readyz included.", float64(stats.Opened)},
		{"server_logins_failed_total", "counter", "Logins to the server that failed.", float64(stats.Failed)},
		{"server_logins_refused_total", "counter", "Tokens that the server refused.", float64(stats.Refused)},
		{"server_logins_retried_total", "counter", "Logins tried again with a new token.", float64(stats.Retried)},
		{"token_fetches_total", "counter", "Requests for a token.", float64(stats.Tokens.Fetches)},
		{"token_fetches_failed_total", "counter", "Requests for a token that brought none.", float64(stats.Tokens.Failures)},
		{"token_fetches_forced_total", "counter", "Requests for a token because one was refused.", float64(stats.Tokens.Forced)},
		{"token_expires_timestamp_seconds", "gauge", "End of the token in use, in Unix time; 0 without one.", expires},
		{"draining", "gauge", "Whether the proxy is ending.", draining},
	}
}

// writeMetrics writes all numbers.
// Source: Prometheus documentation, Exposition formats, text format 0.0.4, read 2026-11.
func (s *Server) writeMetrics(w io.Writer) {
	for _, m := range s.metrics() {
		name := "azurepg_proxy_" + m.name
		_, _ = fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s %[3]s\n%[1]s %[4]s\n", name, m.help, m.kind, strconv.FormatFloat(m.value, 'f', -1, 64))
	}
}
