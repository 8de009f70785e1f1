package azurepgtest

import (
	"maps"
	"time"
)

// MintOptions says in what a token from [Entra.Mint] differs from one that Entra
// issues. The zero value is no difference.
type MintOptions struct {
	Audience  string         // aud; "" is the database of the Server's cloud
	NotBefore time.Time      // nbf and iat; zero is five minutes ago
	Expires   time.Time      // exp; zero is Entra's lifetime from now, by the Server's clock
	TenantID  string         // tid, and within iss; "" is Entra's
	Claims    map[string]any // set last; a nil value removes the claim
	Forged    bool           // signed by a key that is not Entra's, under the id of Entra's
}

// Mint returns an access token for p without a request, so that tests can have tokens
// that Entra would not issue. A nil opts is the zero MintOptions. It panics if Claims
// holds what JSON cannot.
func (e *Entra) Mint(p *Principal, opts *MintOptions) string {
	if opts == nil {
		opts = new(MintOptions)
	}
	audience := opts.Audience
	if audience == "" {
		audience = e.cloud.audiences()[0]
	}
	now := e.clock.now()
	expires := opts.Expires
	if expires.IsZero() {
		lifetime, _ := e.lifetimes()
		expires = now.Add(lifetime)
	}
	claims := e.directory.claims(p, audience, bySecret, now, expires)
	if !opts.NotBefore.IsZero() {
		claims["nbf"] = opts.NotBefore.Unix()
		claims["iat"] = opts.NotBefore.Unix()
	}
	if opts.TenantID != "" {
		claims["tid"] = opts.TenantID
		claims["iss"] = issuer(opts.TenantID)
	}
	maps.Copy(claims, opts.Claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })

	key := e.currentKey()
	if opts.Forged {
		foreign, err := forgersKey()
		if err != nil {
			panic("azurepgtest: Mint: " + err.Error())
		}
		key = &signingKey{foreign.PrivateKey, key.id}
	}
	token, err := e.sign(key, claims)
	if err != nil {
		panic("azurepgtest: Mint: " + err.Error())
	}
	return token
}
