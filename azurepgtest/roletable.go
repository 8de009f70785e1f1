package azurepgtest

import "sync"

// A roleTable says whose the roles are. A primary and its standbys share one.
type roleTable struct {
	mu     sync.Mutex            // guards owners
	owners map[string]*Principal // nil: one of AddPasswordRole
}

func (t *roleTable) set(role string, owner *Principal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owners[role] = owner
}

// owner returns the principal that the role is mapped to, or nil.
func (t *roleTable) owner(role string) *Principal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owners[role]
}

// hasPassword reports whether the real server asks the role what it likes.
func (t *roleTable) hasPassword(role string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	owner, known := t.owners[role]
	return known && owner == nil
}
