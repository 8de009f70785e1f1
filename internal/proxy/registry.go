package proxy

import (
	"context"
	"sync"
	"time"
)

// registry holds the open sessions. The zero value is ready.
type registry struct {
	mu    sync.Mutex // guards what follows
	all   map[*session]struct{}
	byKey map[string]*session // by the key of cancel requests
}

func (r *registry) add(x *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all, r.byKey = make(map[*session]struct{}), make(map[string]*session)
	}
	r.all[x] = struct{}{}
	if x.server.cancelKey != nil {
		r.byKey[string(x.server.cancelKey)] = x
	}
}

func (r *registry) remove(x *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, x)
	// Two hosts can have given the same key.
	if key := string(x.server.cancelKey); r.byKey[key] == x {
		delete(r.byKey, key)
	}
}

func (r *registry) withKey(key []byte) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byKey[string(key)]
}

func (r *registry) sessions() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*session, 0, len(r.all))
	for x := range r.all {
		all = append(all, x)
	}
	return all
}

func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// endIdle ends sessions that have been idle for too long, until ctx is done.
func (s *Server) endIdle(ctx context.Context) {
	limit := s.options.IdleTimeout
	look := time.NewTicker(max(limit/4, 10*time.Millisecond))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			for _, x := range s.open.sessions() {
				if since, idle := x.idleSince(); idle && now.Sub(since) >= limit {
					x.end(answer(codeIdle, "terminating connection due to idle-session timeout of azurepg proxy"))
				}
			}
		}
	}
}
