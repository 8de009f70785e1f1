package azurepgtest

import "fmt"

// Rename gives p another display name, or a user another user principal name, and
// returns it with that name. Its ids, secrets and memberships stay, and a user's tokens
// carry the new name from now on. The PostgreSQL role keeps the old name and still
// belongs to it, since roles are matched by object id; [Server.DSN] takes the role's
// name. The same goes for groups.
//
// It ends the test, or panics if s is from New, if the name is taken, if p is not in the
// directory, or if p is a managed identity, since Azure renames no resources.
func (s *Server) Rename(p *Principal, name string) *Principal {
	if s.tb != nil {
		s.tb.Helper()
	}
	s.adding.Lock()
	renamed, err := s.directory.rename(p, name)
	s.adding.Unlock()
	if err != nil {
		s.fail(err)
	}
	return renamed
}

// Recreate deletes p and makes a principal of the same name and kind, with new ids and
// secrets, which it returns. It is a member of no group, and a group has no members. The
// old one gets no token any more; one that it has stays good until its end. The
// PostgreSQL role still belongs to the old one and refuses the new one, until AddRole;
// the Add methods and [Server.DSN] give the new one. A pool opened before keeps the old
// one's secret.
//
// It ends the test, or panics if s is from New, if p is not in the directory.
func (s *Server) Recreate(p *Principal) *Principal {
	if s.tb != nil {
		s.tb.Helper()
	}
	s.adding.Lock()
	fresh, err := s.recreate(p)
	s.adding.Unlock()
	if err != nil {
		s.fail(err)
	}
	return fresh
}

func (s *Server) recreate(p *Principal) (*Principal, error) {
	old := s.directory.withID(p.ObjectID)
	if old == nil {
		return nil, fmt.Errorf("azurepgtest: Recreate: %q is not in the directory", p.Name)
	}
	fresh, err := s.newAccount(old.Name, old.Kind)
	if err != nil {
		return nil, err
	}
	s.directory.replace(old, fresh)
	s.route(fresh.ids())
	return fresh.Principal, nil
}

// rename puts an account with another name in the place of p's: accounts are read
// without the lock.
func (d *directory) rename(p *Principal, name string) (*Principal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.index(p.ObjectID)
	switch {
	case i < 0:
		return nil, fmt.Errorf("azurepgtest: Rename: %q is not in the directory", p.Name)
	case p.ResourceID != "":
		return nil, fmt.Errorf("azurepgtest: Rename: %q is a resource, and Azure renames none", p.Name)
	case d.byName[name] != nil:
		return nil, fmt.Errorf("azurepgtest: Rename: there is a principal %q already", name)
	}
	a, renamed := *d.ordered[i], *d.ordered[i].Principal
	delete(d.byName, renamed.Name)
	renamed.Name = name
	if renamed.Kind == User {
		renamed.UPN = name
	}
	a.Principal = &renamed
	d.ordered[i], d.byName[name] = &a, &a
	return &renamed, nil
}

// replace puts fresh in the place of old, which leaves all groups. The ids of old are
// kept, so that requests in its name still find the way to the refusal.
func (d *directory) replace(old, fresh *account) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fresh.secret = fresh.Secret
	d.deleted = append(d.deleted, old.ids()...)
	d.byName[fresh.Name] = fresh
	for i, a := range d.ordered {
		delete(a.members, old.ObjectID)
		if a.ObjectID == old.ObjectID {
			d.ordered[i] = fresh
		}
	}
}
