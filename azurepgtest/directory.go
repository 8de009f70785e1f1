package azurepgtest

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A directory knows the principals of one tenant, and that there are others. All parts
// of a Server share it.
type directory struct {
	tenantID       string
	subscriptionID string

	mu      sync.RWMutex // guards all below, and the fields of the accounts
	tenants []string     // the first is tenantID
	byName  map[string]*account
	ordered []*account // as they were added
	deleted []string   // ids of principals that are no more
}

// An account is a Principal with what may change about it. Another Principal makes
// another account.
type account struct {
	*Principal
	secret        string
	secretExpired bool
	certificate   *x509.Certificate
	subject       string              // of its federated tokens
	members       map[string]struct{} // object ids, of groups
	roles         map[string][]string // of APIs, by their identifiers
}

func newDirectory() *directory {
	tenantID := newGUID()
	return &directory{
		tenantID: tenantID, subscriptionID: newGUID(),
		tenants: []string{tenantID}, byName: make(map[string]*account),
	}
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

// index returns where the principal is in ordered, -1 if nowhere. The caller holds mu.
func (d *directory) index(objectID string) int {
	return slices.IndexFunc(d.ordered, func(a *account) bool { return a.ObjectID == objectID })
}

// all returns all accounts, as they were added.
func (d *directory) all() []*account {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.ordered)
}

// ids returns every id that is or was in the directory, those of tenants included.
func (d *directory) ids() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	ids := slices.Concat(d.tenants, d.deleted)
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

// setSecret replaces the secret that is taken from the principal.
func (d *directory) setSecret(objectID, secret string, expired bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.index(objectID)
	if i < 0 {
		return
	}
	a := d.ordered[i]
	if secret != "" {
		a.secret = secret
	}
	a.secretExpired = expired
}

// secretOf returns the secret that is taken from a now.
func (d *directory) secretOf(a *account) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return a.secret
}

// checkSecret reports whether secret is a's, and whether it has expired.
func (d *directory) checkSecret(a *account, secret string) (ok, expired bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return a.secret != "" && a.secret == secret, a.secretExpired
}
