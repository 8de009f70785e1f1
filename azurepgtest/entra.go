package azurepgtest

import (
	"fmt"
	"sync"
	"time"
)

// Entra is a fake Microsoft Entra ID. Its methods are safe for concurrent use, and so
// are those of a Server's other parts.
type Entra struct {
	URL      string // https://127.0.0.1:port, to be used as authority host
	CAFile   string // PEM of the authority that issued its certificate
	TenantID string // of all principals; AddTenant adds others

	cloud     Cloud
	clock     clock
	directory *directory
	faults    faultQueue
	log       *requestLog
	routes    *routes

	mu        sync.Mutex // guards all below
	key       *signingKey
	lifetime  time.Duration
	refreshIn time.Duration
	issued    []string
	refused   map[string]struct{} // revoked tokens
}

// defaultLifetime is that of tokens for applications and users where no policy says
// otherwise (Entra varies it between 60 and 90 minutes).
const defaultLifetime = time.Hour

func newEntra(d *directory, cloud Cloud) (*Entra, error) {
	key, err := entraKey()
	if err != nil {
		return nil, fmt.Errorf("azurepgtest: signing key: %w", err)
	}
	return &Entra{
		TenantID: d.tenantID, cloud: cloud, directory: d,
		log: new(requestLog),
		key: key, lifetime: defaultLifetime, refused: make(map[string]struct{}),
	}, nil
}

// SetLifetime makes tokens issued from now on valid for d, in whole seconds; the
// default is an hour. Expires_in is one less, as the 3599 of Entra. With a negative d
// tokens are issued expired. Managed identities have [ManagedIdentityEndpoint.SetLifetime].
func (e *Entra) SetLifetime(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lifetime = d
}

// SetRefreshIn adds refresh_in to the answers of the token endpoint from now on; zero,
// the default, leaves it out.
func (e *Entra) SetRefreshIn(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refreshIn = d
}

// ExpireSecret makes Entra answer p's secret with AADSTS7000222, until NewSecret.
func (e *Entra) ExpireSecret(p *Principal) { e.directory.setSecret(p.ObjectID, "", true) }

// NewSecret gives p another client secret and returns it. The old one, which stays in
// p.Secret, is answered with AADSTS7000215 from now on.
func (e *Entra) NewSecret(p *Principal) string {
	secret := newSecret()
	e.directory.setSecret(p.ObjectID, secret, false)
	return secret
}

// RotateKeys replaces the signing key. PostgreSQL refuses tokens signed before; see
// [Entra.RevokeTokens].
func (e *Entra) RotateKeys() error {
	key, err := newSigningKey()
	if err != nil {
		return fmt.Errorf("azurepgtest: signing key: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.key = key
	return nil
}

// Tokens returns every token issued so far by any part of the Server, in order, for
// searching them in what a program has logged. They include those of Mint.
func (e *Entra) Tokens() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.issued...)
}

// RevokeTokens makes PostgreSQL refuse all tokens issued so far. New ones are fine. As
// azurepg replaces a refused token of one identity at most once in 30 s, a test that
// revokes twice takes another role for the second time, or waits.
func (e *Entra) RevokeTokens() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, token := range e.issued {
		e.refused[token] = struct{}{}
	}
}

// Revoke makes PostgreSQL refuse token.
func (e *Entra) Revoke(token string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused[token] = struct{}{}
}

// Fault makes token requests go wrong until f has ended or ClearFaults. Faults of
// several calls come one after the other. The discovery documents are not affected.
func (e *Entra) Fault(f Fault) { e.faults.add(f) }

// ClearFaults ends all faults. Requests that wait are answered.
func (e *Entra) ClearFaults() { e.faults.clear() }

// TokenRequests returns how many requests the token endpoint has received, those
// included that failed or still hang. Managed identities and az have counters of their
// own.
func (e *Entra) TokenRequests() int { return e.log.tokenRequests() }

// Requests returns all requests received so far, those for discovery documents
// included.
func (e *Entra) Requests() []Request { return e.log.all() }

// currentKey returns the key that signs, the only one that PostgreSQL trusts.
func (e *Entra) currentKey() *signingKey {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.key
}

func (e *Entra) isRevoked(token string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, revoked := e.refused[token]
	return revoked
}

func (e *Entra) lifetimes() (lifetime, refreshIn time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lifetime, e.refreshIn
}

// issue signs a token for p, issued now, and remembers it. It returns the token and the
// end of its validity, in whole seconds.
func (e *Entra) issue(p *Principal, audience, appIDACR string, now time.Time, lifetime time.Duration) (string, time.Time, error) {
	expires := now.Add(lifetime).Truncate(time.Second)
	token, err := e.sign(e.currentKey(), e.directory.claims(p, audience, appIDACR, now, expires))
	return token, expires, err
}

func (e *Entra) sign(key *signingKey, claims map[string]any) (string, error) {
	token, err := signJWT(key, map[string]any{"kid": key.id, "x5t": key.id}, claims)
	if err != nil {
		return "", fmt.Errorf("azurepgtest: sign token: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.issued = append(e.issued, token)
	return token, nil
}
