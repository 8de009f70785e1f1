package pq

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// demotion watches a session that target_session_attrs wants to be able to write.
// When the server refuses a write because the session is read-only, the session is
// not what was asked for any more, and no pool should keep it. So once its
// transaction has ended nothing more is sent on it; lib/pq tells database/sql
// that the connection is bad, and the statement goes to another one.
//
// It reads along what the server says, message by message.
type demotion struct {
	seen     []byte // of the present message, as much as is wanted of it
	rest     int    // bytes of it that are still to come
	readOnly bool   // a write was refused
	over     bool   // and its transaction has ended
}

// errDemoted is never seen where database/sql can take another connection.
var errDemoted = errors.New("azurepg: the server has become read-only, and target_session_attrs wants another: the connection is given up")

// wantsWriter reports whether the sessions of that target_session_attrs can write.
func wantsWriter(attrs string) bool { return attrs == "read-write" || attrs == "primary" }

// read looks at the next bytes that the server said.
func (d *demotion) read(p []byte) {
	const header = 5
	for len(p) > 0 {
		if len(d.seen) < header {
			n := min(header-len(d.seen), len(p))
			d.seen, p = append(d.seen, p[:n]...), p[n:]
			if len(d.seen) < header {
				return
			}
			d.rest = max(0, int(binary.BigEndian.Uint32(d.seen[1:]))-4)
		}
		n := min(d.rest, len(p))
		const enough = header + 256 // the code is the third field of an error
		if kind := d.seen[0]; kind == msgError || kind == msgReadyForQuery {
			d.seen = append(d.seen, p[:min(n, enough-len(d.seen))]...)
		}
		if d.rest, p = d.rest-n, p[n:]; d.rest == 0 {
			d.message(d.seen[0], d.seen[header:])
			d.seen = d.seen[:0]
		}
	}
}

// message looks at a whole message, of which body is the beginning.
func (d *demotion) message(kind byte, body []byte) {
	const readOnlySQLTransaction, idle = "\x00C25006\x00", 'I'
	switch kind {
	case msgError:
		d.readOnly = d.readOnly || bytes.Contains(body, []byte(readOnlySQLTransaction))
	case msgReadyForQuery:
		d.over = d.readOnly && len(body) == 1 && body[0] == idle
	}
}
