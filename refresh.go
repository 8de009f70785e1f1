package azurepg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// TokenCache keeps one token of one credential for one scope and renews it.
//
// A token is fresh, then stale, then expired. A fresh one is returned at once,
// without a lock or an allocation. A stale one is returned at once too, and one
// fetch to replace it starts in the background. Without a valid token callers
// wait for one shared fetch, each as long as its own context allows. Stale
// begins at the token's RefreshOn if it has one, else TokenCacheOptions.RefreshAhead
// before its end, else, for tokens shorter than twice that, at half of its life.
//
// A failed refresh leaves the token in use until its end and is tried again
// after about 30 s, or when the service's Retry-After says. A failure without a
// valid token is answered to all callers and not repeated within a second.
//
// There is nothing to close: no goroutine and no timer outlives a fetch. A
// TokenCache is safe for concurrent use and must not be copied.
type TokenCache struct {
	current atomic.Pointer[cachedToken] // the token in use; nil: none
	retryAt atomic.Int64                // no refresh starts before this; see elapsed

	scope        string
	refreshAhead time.Duration
	timeout      time.Duration
	start        time.Time    // zero of elapsed
	source       *tokenSource // behind a pointer, out of fmt's sight
	logger       atomic.Pointer[slog.Logger]

	mu      sync.Mutex // guards what follows, and is never held over I/O
	flight  *flight    // the fetch under way; nil: none
	dropped *cachedToken
	failure error         // of the last fetch, with heldTo
	heldTo  time.Duration // until then failure is answered without a new fetch
	rebuild bool          // the next fetch makes a new credential

	attempts int // fetches since there was a new token
	// No refusal forces a fetch before forceAt, which a forced fetch sets to
	// forceWait after itself.
	forceAt, forceWait time.Duration
	throttled          bool // the service said Retry-After: retryAt holds for forced fetches too
	stats              TokenStats
}

// TokenCacheOptions are the settings of a TokenCache. The zero value is ready.
type TokenCacheOptions struct {
	// Scope of the tokens. Empty: Azure Database for PostgreSQL, public cloud.
	Scope string
	// RefreshAhead: a token this near its end is replaced in the background,
	// unless the token itself says when (RefreshOn). Zero or less: 5 minutes.
	RefreshAhead time.Duration
	// Timeout limits one fetch. Zero or less: 30 s.
	Timeout time.Duration
	// Logger receives a line for each fetch, at level Warn or Error if it fails;
	// the package documentation lists them under Logging. Nil: silent.
	Logger *slog.Logger
}

// TokenStats counts what a TokenCache did since it was made. Tokens served from
// the cache are not counted: that would cost the fast path its speed. Its JSON
// has the names of the fields.
type TokenStats struct {
	// Fetches counts calls to the credential, those under way included.
	Fetches uint64
	// Refreshes counts the fetches that replaced a token in good time, before
	// anybody had to wait.
	Refreshes uint64
	// Failures counts the fetches that brought no new token.
	Failures uint64
	// Forced counts the fetches that a refused token forced.
	Forced uint64
	// ExpiresOn is the end of the token in use. Zero, and absent from JSON: there
	// is none.
	ExpiresOn time.Time `json:",omitzero"`
	// ClockAhead is how far the token service's clock is ahead of this machine's, to a
	// second, by the Date of its last answer; negative: behind. Zero: none was seen,
	// as of tools like az. In JSON it is in nanoseconds, and absent if zero.
	ClockAhead time.Duration `json:",omitzero"`
}

// NewTokenCache returns a cache in front of cred. A nil opts is the zero
// TokenCacheOptions. Nothing is fetched before the first Token, which is also
// where a nil cred is an error.
func NewTokenCache(cred azcore.TokenCredential, opts *TokenCacheOptions) *TokenCache {
	if opts == nil {
		opts = &TokenCacheOptions{}
	}
	source := &tokenSource{name: credentialName(cred), credential: cred}
	return newTokenCache(source, *opts)
}

func newTokenCache(source *tokenSource, opts TokenCacheOptions) *TokenCache {
	c := &TokenCache{
		scope:        opts.Scope,
		refreshAhead: opts.RefreshAhead,
		timeout:      opts.Timeout,
		start:        time.Now(),
		source:       source,
	}
	if c.scope == "" {
		c.scope = databaseScope(cloudPublic, false)
	}
	if c.refreshAhead <= 0 {
		c.refreshAhead = defaultRefreshAhead
	}
	if c.timeout <= 0 {
		c.timeout = defaultTokenTimeout
	}
	source.timeout = c.timeout
	c.forceWait = forceInterval
	c.setLogger(opts.Logger)
	return c
}

// setLogger makes l the logger if there is none yet.
func (c *TokenCache) setLogger(l *slog.Logger) {
	if l != nil {
		c.logger.CompareAndSwap(nil, l)
	}
}

// Token returns a token that has not expired. It returns a *TokenError if the
// credential fails, or if ctx ends first: then errors.Is finds the cause of
// ctx, and the fetch goes on for those still waiting. The token's text is a
// secret.
func (c *TokenCache) Token(ctx context.Context) (azcore.AccessToken, error) {
	now := time.Now()
	t := c.current.Load()
	if t == nil || now.UnixNano() >= t.endsAt {
		token, err := c.wait(ctx)
		if t := c.current.Load(); err != nil && t.valid(time.Now()) {
			return t.token, nil // the dropped token, which came back
		}
		return token, err
	}
	if now.UnixNano() >= t.staleAt {
		c.refresh(now)
	}
	return t.token, nil
}

// GetToken makes the cache a TokenCredential for its own scope, so that Azure
// SDK clients share its token. Other scopes, claims and tenants are an error.
func (c *TokenCache) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	switch {
	case len(opts.Scopes) != 1 || opts.Scopes[0] != c.scope:
		return azcore.AccessToken{}, fmt.Errorf("azurepg: this token cache serves the scope %s only", c.scope)
	case opts.Claims != "":
		return azcore.AccessToken{}, errors.New("azurepg: a token cache cannot answer a claims challenge")
	case opts.TenantID != "":
		return azcore.AccessToken{}, errors.New("azurepg: a token cache cannot change the tenant")
	}
	return c.Token(ctx)
}

var _ azcore.TokenCredential = (*TokenCache)(nil)

// Format prints the credential's name and the scope, for every verb.
func (c *TokenCache) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "azurepg.TokenCache(%s, %s)", c.source.name, c.scope)
}

// Stats returns the counters and the end of the present token.
func (c *TokenCache) Stats() TokenStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.ClockAhead = time.Duration(c.source.ahead.Load())
	if t := c.current.Load(); t != nil {
		s.ExpiresOn = t.token.ExpiresOn
	}
	return s
}

// refresh starts a fetch in the background, unless one is under way or the last
// failure is too recent.
func (c *TokenCache) refresh(now time.Time) {
	if int64(c.elapsed(now)) < c.retryAt.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight == nil && int64(c.elapsed(now)) >= c.retryAt.Load() {
		c.begin(false)
	}
}

// wait returns the token of the fetch under way, or of one that it starts.
func (c *TokenCache) wait(ctx context.Context) (azcore.AccessToken, error) {
	for {
		if ctx.Err() != nil {
			return azcore.AccessToken{}, waitError(ctx, c.source.name)
		}
		c.mu.Lock()
		now := time.Now()
		if t := c.current.Load(); t.valid(now) {
			c.mu.Unlock()
			return t.token, nil
		}
		f := c.flight
		if f == nil && c.failure != nil && c.elapsed(now) < c.heldTo {
			defer c.mu.Unlock()
			return azcore.AccessToken{}, c.failure
		}
		if f == nil {
			f = c.begin(c.dropped.valid(now))
		}
		c.mu.Unlock()
		token, err := c.await(ctx, f)
		if err == nil || f.forced || !isFinal(err) {
			return token, err
		}
		// Invalidate came in the middle of a refresh, which then brought the
		// dropped token once more: the next fetch is forced.
	}
}

// await waits for f to end, or for ctx.
func (c *TokenCache) await(ctx context.Context, f *flight) (azcore.AccessToken, error) {
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return azcore.AccessToken{}, waitError(ctx, c.source.name)
	}
}

// elapsed is the time since the cache was made by the monotonic clock, for
// pauses between fetches, which a change of the wall clock must not stretch.
func (c *TokenCache) elapsed(now time.Time) time.Duration { return now.Sub(c.start) }
