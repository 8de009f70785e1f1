package azurepgtest

import (
	"net/http"
	"sync"
	"time"
)

// SetLimits makes token requests beyond so many at once or in a second end in 429, as
// those to IMDS do beyond 5 and 20; 0, the default, is no limit.
//
// Source: learn.microsoft.com, "Azure Instance Metadata Service", read 2026-11.
func (m *ManagedIdentityEndpoint) SetLimits(atOnce, perSecond int) {
	m.throttle.mu.Lock()
	defer m.throttle.mu.Unlock()
	m.throttle.atOnce, m.throttle.perSecond = atOnce, perSecond
}

// Throttled returns how many requests were too many.
func (m *ManagedIdentityEndpoint) Throttled() int {
	m.throttle.mu.Lock()
	defer m.throttle.mu.Unlock()
	return m.throttle.refused
}

// A throttle limits requests. The zero throttle lets all pass.
type throttle struct {
	mu                sync.Mutex // guards all below
	atOnce, perSecond int        // 0 is no limit
	under             int        // way
	recent            []time.Time
	refused           int
}

func (t *throttle) enter(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.recent) > 0 && now.Sub(t.recent[0]) >= time.Second {
		t.recent = t.recent[1:]
	}
	if t.atOnce > 0 && t.under >= t.atOnce || t.perSecond > 0 && len(t.recent) >= t.perSecond {
		t.refused++
		return false
	}
	t.under++
	if t.perSecond > 0 {
		t.recent = append(t.recent, now)
	}
	return true
}

func (t *throttle) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under--
}

func (t *throttle) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !t.enter(time.Now()) {
			writeStatus(w, r, http.StatusTooManyRequests)
			return
		}
		defer t.leave()
		next.ServeHTTP(w, r)
	})
}
