package azurepgtest

import (
	"context"
	"fmt"
)

// AddServicePrincipal registers an application and makes the PostgreSQL role name for
// it. It has a secret, a certificate and a federated token to prove itself with.
//
// All Add methods return the principal that exists if there is one of that name and
// kind. If anything fails they end the test, or panic if the Server is from New.
func (s *Server) AddServicePrincipal(name string) *Principal {
	return s.add(name, ServicePrincipal, nil)
}

// AddUser registers a user by user principal name, of a guest also (with #EXT#), and
// makes the PostgreSQL role of that name. A guest's tokens do not say it, but the address
// at home. Users get tokens from [Server.AzureCLI] and [Entra.Mint].
func (s *Server) AddUser(upn string) *Principal { return s.add(upn, User, nil) }

// AddManagedIdentity registers a user-assigned managed identity with that resource
// name and makes the PostgreSQL role name for it.
func (s *Server) AddManagedIdentity(name string) *Principal {
	return s.add(name, UserAssignedIdentity, nil)
}

// AddSystemIdentity registers the system-assigned managed identity of a virtual machine
// called name and makes the PostgreSQL role name for it. Token requests that name no
// identity are answered for it from now on.
func (s *Server) AddSystemIdentity(name string) *Principal {
	return s.add(name, SystemAssignedIdentity, nil)
}

// AddGroup registers a group and makes the PostgreSQL role name for it. The members log
// in as that role with tokens of their own.
func (s *Server) AddGroup(name string, members ...*Principal) *Principal {
	return s.add(name, Group, members)
}

func (s *Server) add(name string, kind Kind, members []*Principal) *Principal {
	if s.tb != nil {
		s.tb.Helper()
	}
	s.adding.Lock()
	p, err := s.addOnce(name, kind, members)
	s.adding.Unlock()
	if err != nil {
		s.fail(err)
	}
	return p
}

func (s *Server) addOnce(name string, kind Kind, members []*Principal) (*Principal, error) {
	if a := s.directory.named(name); a != nil {
		if a.Kind != kind {
			return nil, fmt.Errorf("azurepgtest: %q is a %s already", name, a.Kind)
		}
		return a.Principal, nil
	}
	a, err := s.newAccount(name, kind)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		a.members[m.ObjectID] = struct{}{}
	}
	if s.Postgres != nil {
		if err := s.Postgres.AddRole(context.Background(), name, a.Principal); err != nil {
			return nil, err
		}
	}
	if err := s.directory.add(a); err != nil {
		return nil, err
	}
	s.route(a.ids())
	return a.Principal, nil
}

// newAccount returns an account with fresh ids and what it proves itself with, which is
// not in the directory yet.
func (s *Server) newAccount(name string, kind Kind) (*account, error) {
	a := &account{Principal: s.directory.newPrincipal(name, kind), members: make(map[string]struct{})}
	if kind == ServicePrincipal {
		if err := a.writeCertificate(s.dir); err != nil {
			return nil, fmt.Errorf("azurepgtest: certificate of %q: %w", name, err)
		}
	}
	if kind == ServicePrincipal || kind == UserAssignedIdentity {
		a.joinCluster(s.dir)
		if err := a.writeFederatedToken(s.Entra.clock.now()); err != nil {
			return nil, fmt.Errorf("azurepgtest: federated token of %q: %w", name, err)
		}
	}
	return a, nil
}
