package pq

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/azurepg/azurepg"
)

// The messages of a login.
// Source: PostgreSQL documentation, 55.7 Message Formats, read 2026-11.
const (
	msgAuthentication   = 'R'
	msgBackendKeyData   = 'K'
	msgError            = 'E'
	msgNegotiateVersion = 'v'
	msgNotice           = 'N'
	msgParameterStatus  = 'S'
	msgPassword         = 'p'
	msgReadyForQuery    = 'Z'

	authOk        = 0
	authCleartext = 3

	protocol3     = 3 << 16
	cancelRequest = 1234<<16 | 5678
)

// startupCode returns the code of a packet without a type: its protocol version,
// or what it requests. It is zero for all else.
func startupCode(p []byte) uint32 {
	if len(p) < 8 || int64(binary.BigEndian.Uint32(p)) != int64(len(p)) {
		return 0
	}
	return binary.BigEndian.Uint32(p[4:])
}

// appendMessage appends the beginning of a message with a body of n bytes, and
// makes room for that.
func appendMessage(b []byte, kind byte, n int) []byte {
	b = append(make([]byte, 0, len(b)+5+n), b...)
	return binary.BigEndian.AppendUint32(append(b, kind), uint32(n)+4)
}

// hideToken takes the token, or another secret, out of what a server says that
// repeats what it was sent.
func hideToken(body []byte, token string) ([]byte, error) {
	var safe []byte
	for len(body) > 0 && body[0] != 0 {
		text, rest, ok := bytes.Cut(body[1:], []byte{0})
		if !ok {
			return nil, errNoMessage
		}
		s := string(text)
		if token != "" {
			s = strings.ReplaceAll(s, token, "[redacted]")
		}
		safe = append(append(append(safe, body[0]), azurepg.Redact(s)...), 0)
		body = rest
	}
	const maxError = 30000 // beyond that lib/pq does not take it for an error message
	if len(body) == 0 || len(safe) >= maxError {
		return nil, errNoMessage
	}
	return append(safe, 0), nil
}
