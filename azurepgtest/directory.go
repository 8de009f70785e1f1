package azurepgtest

import (
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
)

// A directory knows the principals of one tenant. All parts of a Server share it.
type directory struct {
	tenantID       string
	subscriptionID string

	mu      sync.RWMutex // guards all below, and the fields of the accounts
	byName  map[string]*account
	ordered []*account // as they were added
}

// An account is a Principal with what may change about it.
type account struct {
	*Principal
	secret        string
	secretExpired bool
	certificate   *x509.Certificate
	subject       string              // of its federated tokens
	members       map[string]struct{} // object ids, of groups
}

func newDirectory() *directory {
	return &directory{tenantID: newGUID(), subscriptionID: newGUID(), byName: make(map[string]*account)}
}

// newPrincipal returns a principal with fresh ids, which is not in the directory yet.
func (d *directory) newPrincipal(name string, kind Kind) *Principal {
	p := &Principal{Name: name, Kind: kind, ObjectID: newGUID(), TenantID: d.tenantID}
	if p.isApp() {
		p.ClientID = newGUID()
	}
	switch kind {
	case User:
		p.UPN = name
	case ServicePrincipal:
		p.Secret = newSecret()
	case UserAssignedIdentity:
		p.ResourceID = d.resourceID("Microsoft.ManagedIdentity/userAssignedIdentities", name)
	case SystemAssignedIdentity:
		p.ResourceID = d.resourceID("Microsoft.Compute/virtualMachines", name)
	}
	return p
}

func (d *directory) resourceID(kind, name string) string {
	return "/subscriptions/" + d.subscriptionID + "/resourcegroups/azurepgtest/providers/" + kind + "/" + name
}

func (d *directory) add(a *account) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, taken := d.byName[a.Name]; taken {
		return fmt.Errorf("azurepgtest: there is a principal %q already", a.Name)
	}
	a.secret = a.Secret
	d.byName[a.Name] = a
	d.ordered = append(d.ordered, a)
	return nil
}

// named returns the account with the name, or nil.
func (d *directory) named(name string) *account {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byName[name]
}

// withID returns the account with a client, object or resource id, or nil.
func (d *directory) withID(id string) *account {
	return d.find(func(a *account) bool { return a.hasID(id) })
}

// withClientID returns the account with the client id, or nil.
func (d *directory) withClientID(id string) *account {
	return d.find(func(a *account) bool { return id != "" && strings.EqualFold(a.ClientID, id) })
}

// machineIdentity returns the identity that a request which names none gets: the
// system-assigned one added last, else the only user-assigned one, else nil.
//
// Source: learn.microsoft.com, "How to use managed identities on a VM to acquire an
// access token", read 2026-11.
func (d *directory) machineIdentity() *account {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var system, assigned *account
	count := 0
	for _, a := range d.ordered {
		switch a.Kind {
		case SystemAssignedIdentity:
			system = a
		case UserAssignedIdentity:
			assigned = a
			count++
		}
	}
	if system == nil && count == 1 {
		return assigned
	}
	return system
}

func (d *directory) find(match func(*account) bool) *account {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, a := range d.ordered {
		if match(a) {
			return a
		}
	}
	return nil
}

// ids returns every id in the directory, the tenant's included.
func (d *directory) ids() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	ids := []string{d.tenantID}
	for _, a := range d.ordered {
		ids = append(ids, a.ids()...)
	}
	return ids
}

func (p *Principal) ids() []string {
	var ids []string
	for _, id := range []string{p.ObjectID, p.ClientID, p.ResourceID} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
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
	for _, g := range d.groupsOf(objectID) {
		if g == group.ObjectID {
			return true
		}
	}
	return false
}

// firstMember returns the member of group that was added first and is of one of the
// kinds, or nil.
func (d *directory) firstMember(group *account, kinds ...Kind) *account {
	return d.find(func(a *account) bool {
		_, member := group.members[a.ObjectID]
		for _, kind := range kinds {
			if member && a.Kind == kind {
				return true
			}
		}
		return false
	})
}

// setSecret replaces the secret that is taken from the principal.
func (d *directory) setSecret(objectID, secret string, expired bool) {
	a := d.withID(objectID)
	if a == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if secret != "" {
		a.secret = secret
	}
	a.secretExpired = expired
}

// checkSecret reports whether secret is a's, and whether it has expired.
func (d *directory) checkSecret(a *account, secret string) (ok, expired bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return a.secret != "" && a.secret == secret, a.secretExpired
}
