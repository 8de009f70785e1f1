package azurepgtest

import (
	"fmt"
	"slices"
)

// AddMember makes p a member of group. PostgreSQL looks at the members when somebody
// logs in, not at the groups that a token says. It ends the test, or panics if s is from
// New, if one of the two is not in the directory or group is no group.
func (s *Server) AddMember(group, p *Principal) { s.setMember(group, p, true) }

// RemoveMember ends p's membership in group, if there is one; see [Server.AddMember].
func (s *Server) RemoveMember(group, p *Principal) { s.setMember(group, p, false) }

func (s *Server) setMember(group, p *Principal, member bool) {
	if s.tb != nil {
		s.tb.Helper()
	}
	if err := s.directory.setMember(group, p, member); err != nil {
		s.fail(err)
	}
}

func (d *directory) setMember(group, p *Principal, member bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.index(group.ObjectID)
	if i < 0 || d.ordered[i].Kind != Group {
		return fmt.Errorf("azurepgtest: there is no group %q, or no longer this one", group.Name)
	}
	if d.index(p.ObjectID) < 0 {
		return fmt.Errorf("azurepgtest: there is no principal %q, or no longer this one", p.Name)
	}
	if member {
		d.ordered[i].members[p.ObjectID] = struct{}{}
	} else {
		delete(d.ordered[i].members, p.ObjectID)
	}
	return nil
}

// groupsOf returns the object ids of the groups that have the principal as a member.
func (d *directory) groupsOf(objectID string) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var groups []string
	for _, a := range d.ordered {
		if _, member := a.members[objectID]; member {
			groups = append(groups, a.ObjectID)
		}
	}
	return groups
}

// isMember reports whether the principal is a member of group, now and not when its
// token was issued.
func (d *directory) isMember(objectID string, group *Principal) bool {
	return slices.Contains(d.groupsOf(objectID), group.ObjectID)
}

// firstMember returns the member of group that was added first and is of one of the
// kinds, or nil.
func (d *directory) firstMember(group *account, kinds ...Kind) *account {
	return d.find(func(a *account) bool {
		_, member := group.members[a.ObjectID]
		return member && slices.Contains(kinds, a.Kind)
	})
}
