package azurepg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// failureHold: how long a failed fetch is answered to everybody while there
	// is no valid token, so that a crowd of callers cannot storm the service.
	failureHold = time.Second
	// refreshRetry: how long after a failed refresh, with a token still valid,
	// the next one may start, give or take a tenth.
	refreshRetry = 30 * time.Second
	// maxRetryAfter: a Retry-After beyond it is taken for a mistake.
	maxRetryAfter = time.Hour
	// forceInterval: at most one fetch in this time is forced by refusals. It
	// doubles, up to maxForceInterval, while what a forced fetch brings is refused
	// as well, and starts anew with a token that is renewed in its time.
	forceInterval    = 30 * time.Second
	maxForceInterval = 30 * time.Minute
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
	// Logger receives a line for each fetch, and a warning for each that fails.
	// Nil: silent.
	Logger *slog.Logger
}

// TokenStats counts what a TokenCache did since it was made. Tokens served from
// the cache are not counted: that would cost the fast path its speed.
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
	// ExpiresOn is the end of the token in use, zero if there is none.
	ExpiresOn time.Time
	// ClockAhead is how far the token service's clock is ahead of this machine's, to a
	// second, by the Date of its last answer; negative: behind. Zero: none was seen,
	// as of tools like az.
	ClockAhead time.Duration
}

// cachedToken is immutable. Its times are wall-clock, in nanoseconds since 1970:
// the monotonic clock stands still while a laptop sleeps.
type cachedToken struct {
	token   azcore.AccessToken
	staleAt int64
	endsAt  int64
	forced  bool // it came of a forced fetch, or outlasted one
}

// flight is one fetch under way. token and err are set before done is closed.
type flight struct {
	done    chan struct{}
	forced  bool
	rebuild bool
	started time.Time
	token   azcore.AccessToken
	err     error
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

// begin takes the slot and then starts the fetch. The caller holds mu.
func (c *TokenCache) begin(forced bool) *flight {
	f := &flight{done: make(chan struct{}), forced: forced, rebuild: c.rebuild || forced, started: time.Now()}
	c.flight, c.rebuild = f, false
	c.retryAt.Store(math.MaxInt64) // callers with a stale token need not even ask
	c.stats.Fetches++
	if forced {
		c.stats.Forced++
		c.forceAt = c.elapsed(f.started) + c.forceWait
	}
	go c.fetch(f)
	return f
}

// fetch calls the credential on a context that no caller can cancel. Some
// credentials wait on locks that ignore their context, so the flight ends with
// the time-out even if the call does not.
func (c *TokenCache) fetch(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		c.settle(f, azcore.AccessToken{}, c.source.timeoutError())
	})
	token, err := c.source.get(ctx, c.scope, f.rebuild)
	if stop() || err == nil { // else the time-out has spoken already
		c.settle(f, token, err)
	}
}

// settle ends the flight f with what the credential answered. After the
// time-out it is called a second time, if the answer is a token after all.
func (c *TokenCache) settle(f *flight, token azcore.AccessToken, err error) {
	now := time.Now()
	var fresh *cachedToken
	if err == nil {
		fresh, err = c.accept(token, now)
	}
	c.mu.Lock()
	old := c.current.Load()
	if old == nil {
		old = c.dropped
	}
	if c.flight != f {
		if err == nil && (!old.valid(now) || fresh.endsAt > old.endsAt) {
			c.keep(fresh, false)
		}
		c.mu.Unlock()
		return
	}
	if err == nil && old.valid(now) && fresh.token.Token == old.token.Token {
		err = errSameToken
	}
	if err == nil {
		fresh.forced = f.forced
		c.keep(fresh, old.valid(now) && c.dropped == nil)
		f.token = fresh.token
	} else {
		c.fail(f, old, now, err)
	}
	c.flight, f.err = nil, err
	close(f.done)
	c.mu.Unlock()
	c.log(f, fresh, old, err)
}

// keep puts fresh in use. The caller holds mu.
func (c *TokenCache) keep(fresh *cachedToken, inTime bool) {
	c.current.Store(fresh)
	c.dropped, c.failure, c.throttled = nil, nil, false
	c.retryAt.Store(0)
	if inTime {
		c.stats.Refreshes++
	}
}

// fail books a fetch that brought no new token and leaves old in use, if it is
// still valid. The caller holds mu.
func (c *TokenCache) fail(f *flight, old *cachedToken, now time.Time, err error) {
	c.stats.Failures++
	var te *TokenError
	if errors.As(err, &te) && te.staleCredential() || f.rebuild {
		c.rebuild = true // the new credential may not have come about
	}
	c.retryAt.Store(0)
	if !f.forced && c.dropped != nil && isFinal(err) {
		return // the fetch had begun before Invalidate: wait starts another
	}
	c.dropped = nil
	if !old.valid(now) {
		c.failure, c.heldTo = err, c.elapsed(now)+failureHold
		return
	}
	kept := *old
	kept.forced = kept.forced || f.forced && isFinal(err)
	c.current.Store(&kept)
	c.throttled = false
	wait := refreshRetry + time.Duration((rand.Float64()-0.5)*0.2*float64(refreshRetry))
	if te != nil && te.RetryAfter > 0 {
		wait = min(te.RetryAfter, maxRetryAfter)
		c.throttled = true
	}
	c.retryAt.Store(int64(c.elapsed(now) + wait))
}

// accept checks a token before it is used: nothing that cannot be a token of
// this scope is ever sent to a server.
func (c *TokenCache) accept(token azcore.AccessToken, now time.Time) (*cachedToken, error) {
	token.ExpiresOn = token.ExpiresOn.Round(0) // wall clock only
	switch {
	case token.Token == "":
		return nil, badTokenError(c.source.name, tokenEmpty, nil)
	case strings.ContainsFunc(token.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, badTokenError(c.source.name, tokenBroken, nil)
	case !token.ExpiresOn.After(now.Round(0)):
		return nil, badTokenError(c.source.name, tokenExpired, nil)
	}
	if cl, ok := readClaims(token.Token); ok && cl.foreignAudience(c.scope) {
		return nil, badTokenError(c.source.name, tokenForeign, map[string]string{"audience": quoteForeign(strings.Join(cl.Audience, " ")), "scope": c.scope})
	}
	return &cachedToken{token: token, staleAt: unixNano(staleTime(token, now, c.refreshAhead)), endsAt: unixNano(token.ExpiresOn)}, nil
}

// staleTime returns when a token received at now should be replaced.
func staleTime(token azcore.AccessToken, now time.Time, ahead time.Duration) time.Time {
	ends := token.ExpiresOn
	if r := token.RefreshOn; r.After(now) && r.Before(ends) {
		return r.Round(0)
	}
	life := ends.Round(0).Sub(now.Round(0))
	if life < 2*ahead {
		return ends.Add(-life / 2)
	}
	return ends.Add(-ahead)
}

// unixNano is t.UnixNano, which overflows in 2262, for times far away as well.
func unixNano(t time.Time) int64 {
	if t.After(time.Unix(0, math.MaxInt64)) {
		return math.MaxInt64
	}
	return t.UnixNano()
}

// valid reports whether t, which may be nil, can still log in.
func (t *cachedToken) valid(now time.Time) bool { return t != nil && now.UnixNano() < t.endsAt }

// elapsed is the time since the cache was made by the monotonic clock, for
// pauses between fetches, which a change of the wall clock must not stretch.
func (c *TokenCache) elapsed(now time.Time) time.Duration { return now.Sub(c.start) }

func (c *TokenCache) log(f *flight, fresh, old *cachedToken, err error) {
	l := c.logger.Load()
	if l == nil {
		return
	}
	now := time.Now()
	attrs := []slog.Attr{
		slog.String("credential", c.source.name),
		slog.Duration("took", now.Sub(f.started)),
		slog.Bool("forced", f.forced),
	}
	ctx := context.Background()
	switch {
	case err == nil:
		l.LogAttrs(ctx, slog.LevelInfo, "azurepg: token fetched", append(attrs, slog.Time("expires", fresh.token.ExpiresOn))...)
	case isFinal(err) && old != nil:
		l.LogAttrs(ctx, slog.LevelDebug, "azurepg: the credential has no newer token yet", append(attrs, slog.Time("expires", old.token.ExpiresOn))...)
	case old.valid(now):
		left := time.Duration(old.endsAt - now.UnixNano()).Round(time.Second)
		l.LogAttrs(ctx, slog.LevelWarn, "azurepg: token refresh failed, the old token stays in use",
			append(attrs, slog.Duration("left", left), slog.String("error", logText(err)))...)
	default:
		l.LogAttrs(ctx, slog.LevelError, "azurepg: no token", append(attrs, slog.String("error", logText(err)))...)
	}
}
