package pq

import (
	"bytes"
	"strings"
	"testing"
)

// said is one message of the server.
func said(kind byte, body string) []byte {
	return append(appendMessage(nil, kind, len(body)), body...)
}

var (
	refusedWrite = said(msgError, "SERROR\x00VERROR\x00C25006\x00Mcannot execute INSERT in a read-only transaction\x00\x00")
	otherError   = said(msgError, "SERROR\x00VERROR\x00C22012\x00Mdivision by zero: C25006\x00\x00")
	idle         = said(msgReadyForQuery, "I")
	inFailed     = said(msgReadyForQuery, "E")
	row          = said('D', "\x00\x01\x00\x00\x00\x09\x00C25006\x00E")
	large        = said('D', string(make([]byte, 70000)))
)

func TestSessionIsOverOnceTheRefusedTransactionIs(t *testing.T) {
	for _, tt := range []struct {
		name string
		says [][]byte
		over bool
	}{
		{"nothing", nil, false},
		{"refused", [][]byte{refusedWrite, idle}, true},
		{"refused, not ready yet", [][]byte{refusedWrite}, false},
		{"refused in a transaction", [][]byte{refusedWrite, inFailed}, false},
		{"rolled back", [][]byte{refusedWrite, inFailed, said('C', "ROLLBACK\x00"), idle}, true},
		{"another error", [][]byte{otherError, idle}, false},
		{"a row that reads like an error", [][]byte{row, idle}, false},
		{"after a large message", [][]byte{large, refusedWrite, idle}, true},
		{"an empty message before", [][]byte{said('1', ""), refusedWrite, idle}, true},
		{"a long error", [][]byte{said(msgError, "SERROR\x00VERROR\x00C25006\x00M"+strings.Repeat("x", 9000)+"\x00\x00"), idle}, true},
		{"a length that is none", [][]byte{{msgError, 0, 0, 0, 0}, {'D', 0, 0, 0, 3}, refusedWrite, idle}, true},
		{"a translated severity", [][]byte{said(msgError, "SОШИБКА\x00VERROR\x00C25006\x00Mнельзя\x00\x00"), idle}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := bytes.Join(tt.says, nil)
			for _, size := range []int{1, 2, 5, 7, 4096, len(all) + 1} {
				var d demotion
				for rest := all; len(rest) > 0; {
					n := min(size, len(rest))
					d.read(rest[:n])
					rest = rest[n:]
				}
				if d.over != tt.over {
					t.Errorf("in pieces of %d: over = %v; want %v", size, d.over, tt.over)
				}
				if cap(d.seen) > 1024 {
					t.Errorf("in pieces of %d: %d bytes are kept", size, cap(d.seen))
				}
			}
		})
	}
}
