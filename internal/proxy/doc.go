// Package proxy lets local clients in any language log in to PostgreSQL without a
// password: it is behind "azurepg proxy".
//
// # The life of a connection
//
//	client                     proxy                                 server
//	  │ connect ─────────────── door: is there room?
//	  │ SSLRequest ──────────── N, as to GSSENCRequest: nothing is encrypted here
//	  │ startup packet ──────── whole, in time, no replication, a database
//	  │                         that may be chosen; one of MaxConnections
//	  │                         Connector.Connect: token from the cache ── verified TLS
//	  │                         startup packet: the DSN's role and database,
//	  │                         the client's other parameters ───────────── 'R' cleartext
//	  │                         the token, to that question alone ───────── 'R' ok … 'Z'
//	  │                         the session is what target_session_attrs wants
//	  │ 'R' ok … 'Z' ────────── all that the server said, unchanged
//	  │ ═══════════════════════ bytes, both ways ═════════════════════════ │
//	  │ CancelRequest ───────── known key? to the same host, over TLS ────── │
//	  │ end, of one side ────── passed on; the other side may finish ─────── end
//
// Until the splice every message is read to its last byte and no further, so that
// nothing stays behind in a buffer. Refused logins are the Connector's matter: one
// forced fetch of a new token, one more try, no other host after a refusal. A client
// that leaves while its login is under way ends it.
//
// During the splice the proxy changes nothing, and only counts messages: so it knows
// when a session is idle, and where between two messages it can say that it ends one.
//
// Whoever reaches a listener has the DSN's identity. Listen therefore makes unix
// sockets that the proxy's own user alone can open, and TCP ports of the loopback
// interface.
package proxy
