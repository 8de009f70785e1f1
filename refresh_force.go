package azurepg

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// Invalidate says that the server has refused the token rejected. If that is
// still the token in use it is dropped: the next Token waits for a new one. At
// most one fetch in 30 s is forced so, and a token that came of a forced fetch
// stays until it is renewed in its time, even if it is refused as well: what is
// wrong then is not the token. If the fetch fails, the old token is back in use.
func (c *TokenCache) Invalidate(rejected string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.current.Load()
	if t == nil || t.token.Token != rejected || t.forced || c.elapsed(time.Now()) < c.forceAt {
		return
	}
	c.dropped = t
	c.current.Store(nil)
}

// inUse reports whether token is the one in use.
func (c *TokenCache) inUse(token string) bool {
	t := c.current.Load()
	return t != nil && t.token.Token == token
}

// replace returns a token in place of rejected: the present one if it is
// another, else, with force, that of a fetch, which it forces if it may. The
// error says why there is no other token; isFinal(err) if another try
// before the normal refresh would not help either. Meanwhile Token goes on
// serving rejected: it may be good for other servers and roles.
func (c *TokenCache) replace(ctx context.Context, rejected string, force bool) (azcore.AccessToken, error) {
	for {
		f, token, err := c.replacement(rejected, force)
		if f != nil {
			token, err = c.await(ctx, f)
		}
		switch {
		case err == nil && token.Token != rejected:
			return token, nil
		case err == nil:
			return azcore.AccessToken{}, errSameToken
		case f == nil || f.forced || !isFinal(err):
			return azcore.AccessToken{}, err
		}
		// The fetch had begun before the refusal, and brought what the credential
		// had in its own cache: now force one.
	}
}

// replacement returns a token other than rejected, or the fetch to wait for, or
// why there is neither.
func (c *TokenCache) replacement(rejected string, force bool) (*flight, azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	t := c.current.Load()
	switch {
	case t.valid(now) && t.token.Token != rejected:
		return nil, t.token, nil
	case !force:
		return nil, azcore.AccessToken{}, errHopeless
	case c.flight != nil:
		return c.flight, azcore.AccessToken{}, nil
	case !t.valid(now) && c.failure != nil && c.elapsed(now) < c.heldTo:
		return nil, azcore.AccessToken{}, c.failure
	case !t.valid(now):
		return c.begin(c.dropped.valid(now)), azcore.AccessToken{}, nil
	case c.elapsed(now) < c.forceAt || c.throttled && int64(c.elapsed(now)) < c.retryAt.Load():
		return nil, azcore.AccessToken{}, errForced
	}
	c.forceWait = min(2*c.forceWait, maxForceInterval)
	if !t.forced {
		c.forceWait = forceInterval
	}
	return c.begin(true), azcore.AccessToken{}, nil
}
