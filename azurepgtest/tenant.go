package azurepgtest

import "strings"

// AddTenant registers another tenant of the same Entra and returns its id. All
// applications are known there, as multi-tenant ones are that somebody consented to,
// with the same ids, secrets and certificates, but under other object ids; users, groups
// and managed identities are not. Tokens from it are signed by the same keys, and
// PostgreSQL refuses them.
func (s *Server) AddTenant() string {
	id := newGUID()
	s.adding.Lock()
	defer s.adding.Unlock()
	s.directory.addTenant(id)
	s.route([]string{id})
	return id
}

func (d *directory) addTenant(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tenants = append(d.tenants, id)
}

// tenant returns the id as it is written in tokens, "" if there is no such tenant.
func (d *directory) tenant(id string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, known := range d.tenants {
		if strings.EqualFold(known, id) {
			return known
		}
	}
	return ""
}

// knownIn reports whether p can sign in to a tenant.
func (p *Principal) knownIn(tenantID string) bool {
	return p.TenantID == tenantID || p.Kind == ServicePrincipal
}

// in returns p as a tenant knows it. The object id elsewhere follows from the one at
// home, so that it is always the same.
func (p *Principal) in(tenantID string) *Principal {
	if p.TenantID == tenantID {
		return p
	}
	there := *p
	there.TenantID = tenantID
	there.ObjectID = hashedGUID(tenantID + p.ObjectID)
	return &there
}
