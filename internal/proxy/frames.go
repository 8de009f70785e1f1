package proxy

import "encoding/binary"

// frames counts the messages in a stream, whatever the pieces it comes in, and keeps
// none of them.
type frames struct {
	// seen is called for each message, with its type and the first byte of its body, which
	// is zero if it has none.
	seen func(kind, first byte)
	// failed, unless it is nil, is called for each ErrorResponse with the beginning of its
	// body.
	failed func(beginning []byte)

	head   [5]byte
	have   int    // bytes of head
	rest   uint32 // bytes of the body that are still to come
	fresh  bool   // none of the body has come
	broken bool   // the stream is no sequence of messages
	kept   []byte // for failed
}

// keptOfError is enough to hold the code, the third field of an error, in bytes.
const keptOfError = 256

// read looks at the next bytes of the stream.
func (f *frames) read(p []byte) {
	for len(p) > 0 && !f.broken {
		if f.rest > 0 {
			if f.fresh {
				f.fresh = false
				f.seen(f.head[0], p[0])
			}
			n := min(uint64(f.rest), uint64(len(p)))
			f.rest -= uint32(n)
			if f.failed != nil && f.head[0] == msgError {
				f.keep(p[:n])
			}
			p = p[n:]
			continue
		}
		n := copy(f.head[f.have:], p)
		p = p[n:]
		if f.have += n; f.have < len(f.head) {
			return
		}
		f.have = 0
		length := binary.BigEndian.Uint32(f.head[1:])
		if length < 4 {
			f.broken = true
			return
		}
		f.rest, f.fresh = length-4, true
		if f.rest == 0 {
			f.seen(f.head[0], 0)
		}
	}
}

// keep keeps the beginning of an ErrorResponse until it is complete.
func (f *frames) keep(p []byte) {
	f.kept = append(f.kept, p[:min(len(p), keptOfError-len(f.kept))]...)
	if f.rest == 0 {
		f.failed(f.kept)
		f.kept = nil
	}
}

// between reports whether the stream is between two messages.
func (f *frames) between() bool { return f.have == 0 && f.rest == 0 && !f.broken }
