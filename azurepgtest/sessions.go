package azurepgtest

import (
	"maps"
	"net"
	"slices"
)

// A session is one of the real server, whose login is over.
type session struct {
	conn    net.Conn
	id      uint32 // process id of its backend
	welcome []byte // what the server said at the end of the login, for the client
}

// Logins returns how many logins have been accepted, those of password roles among them.
func (p *Postgres) Logins() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logins
}

// Refusals returns how many logins have been refused, for whatever reason.
func (p *Postgres) Refusals() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusals
}

// LastRefusal returns why the latest login was refused, plainer than the client was
// told; "" if none was. It holds no part of a token.
func (p *Postgres) LastRefusal() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastRefusal
}

// Connections returns how many sessions are open, logins under way not among them.
func (p *Postgres) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

// KillConnections resets all client connections, as a failover does, and returns how
// many there were.
func (p *Postgres) KillConnections() int { return p.conns.kill() }

// SetMaxConnections limits the sessions to n. Logins beyond it that prove themselves are
// refused with SQLSTATE 53300 in the words of PostgreSQL 16, and count as refusals;
// sessions that are open stay. 0, the default, leaves the limit to the real server, whose
// max_connections is 200 if it is ours.
func (p *Postgres) SetMaxConnections(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.maxConnections = n
}

// reserve takes a slot for a session, or refuses.
//
// Source: PostgreSQL 16, src/backend/utils/init/postinit.c.
func (p *Postgres) reserve() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.maxConnections > 0 && p.slots >= p.maxConnections {
		return &refusal{"53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute", "too many connections"}
	}
	p.slots++
	return nil
}

// release gives a slot back of which no session came.
func (p *Postgres) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots--
}

// enter counts a login.
func (p *Postgres) enter(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logins++
	p.sessions[s] = struct{}{}
}

// leave ends a session and gives its slot back.
func (p *Postgres) leave(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots--
	delete(p.sessions, s)
}

// sessionIDs returns the process ids of the backends of all sessions.
func (p *Postgres) sessionIDs() []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []uint32
	for _, s := range slices.Collect(maps.Keys(p.sessions)) {
		ids = append(ids, s.id)
	}
	return ids
}
