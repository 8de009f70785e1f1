package azurepgtest

import (
	"fmt"
	"slices"
)

// AssignRoles gives p application roles of the API whose identifier, an https URL, is
// resource, in place of those that it had: tokens for that say them in the claim roles, and
// tokens for others do not. Services that are not Azure's, such as RabbitMQ, read
// permissions there. No role ends that. AssignRoles ends the test, or panics if s is from
// New, if p is not in the directory.
//
// Source: learn.microsoft.com, "Add app roles to your application and receive them in the
// token", read 2026-11.
func (s *Server) AssignRoles(p *Principal, resource string, roles ...string) {
	if s.tb != nil {
		s.tb.Helper()
	}
	if err := s.directory.setRoles(p, resource, roles); err != nil {
		s.fail(err)
	}
}

func (d *directory) setRoles(p *Principal, resource string, roles []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.index(p.ObjectID)
	if i < 0 {
		return fmt.Errorf("azurepgtest: there is no principal %q, or no longer this one", p.Name)
	}
	a := d.ordered[i]
	if a.roles == nil {
		a.roles = make(map[string][]string)
	}
	a.roles[resource] = slices.Clone(roles)
	return nil
}

// rolesOf returns what the claim roles says in the principal's tokens for resource.
func (d *directory) rolesOf(objectID, resource string) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if i := d.index(objectID); i >= 0 {
		return d.ordered[i].roles[resource]
	}
	return nil
}
