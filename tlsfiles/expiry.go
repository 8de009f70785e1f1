package tlsfiles

import (
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"sync"
	"time"
)

const day = 24 * time.Hour

// marks: when so much is left of a certificate, or less, it is reported.
var marks = [...]time.Duration{0, 1 * day, 7 * day, 30 * day}

// expiryWatch reports certificates that are about to end, once for each mark.
type expiryWatch struct {
	logger *slog.Logger
	call   func(Expiry) // may be nil

	mu   sync.Mutex                          // guards told
	told map[[sha256.Size]byte]time.Duration // certificate → the last mark that was reported
}

// look reports cert if that is due.
func (w *expiryWatch) look(name string, cert *x509.Certificate) {
	left := time.Until(cert.NotAfter)
	mark, reached := markOf(left, cert.NotAfter.Sub(cert.NotBefore))
	if !reached || !w.due(cert, mark) {
		return
	}
	e := Expiry{Name: name, Subject: show(cert.Subject.String()), NotAfter: cert.NotAfter, Left: left}
	logExpiry(w.logger, e)
	if w.call != nil {
		w.call(e)
	}
}

// markOf returns the mark that has been reached. One that is more than half the life of
// the certificate says nothing: short-lived ones are renewed later, and would be reported
// each time. A life is longer than was asked for, since it begins a little before now.
func markOf(left, life time.Duration) (time.Duration, bool) {
	for _, mark := range marks {
		if left <= mark && 2*mark <= life {
			return mark, true
		}
	}
	return 0, false
}

// due reports whether the mark has not been reported yet. It forgets when there are many.
func (w *expiryWatch) due(cert *x509.Certificate, mark time.Duration) bool {
	const many = 100
	key := sha256.Sum256(cert.Raw)
	w.mu.Lock()
	defer w.mu.Unlock()
	if told, ok := w.told[key]; ok && told <= mark {
		return false
	}
	if w.told == nil || len(w.told) >= many {
		w.told = map[[sha256.Size]byte]time.Duration{}
	}
	w.told[key] = mark
	return true
}

// lookAtChains looks at the certificate that ends first of the chain that lasts
// longest: the server can be verified until then.
func (w *expiryWatch) lookAtChains(caName string, chains [][]*x509.Certificate) {
	var ends *x509.Certificate
	name := "server"
	for _, chain := range chains {
		first := 0
		for i, cert := range chain {
			if cert.NotAfter.Before(chain[first].NotAfter) {
				first = i
			}
		}
		if ends == nil || chain[first].NotAfter.After(ends.NotAfter) {
			if ends, name = chain[first], "server"; first == len(chain)-1 {
				name = caName
			}
		}
	}
	if ends != nil {
		w.look(name, ends)
	}
}
