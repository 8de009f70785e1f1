package azurepg

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
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

// flight is one fetch under way. token and err are set before done is closed.
type flight struct {
	done    chan struct{}
	attempt int // 1 is the first since there was a new token
	forced  bool
	rebuild bool
	renewed bool // it replaced a token before anybody had to wait; set before done is closed, too
	started time.Time
	token   azcore.AccessToken
	err     error
}

// begin takes the slot and then starts the fetch. The caller holds mu.
func (c *TokenCache) begin(forced bool) *flight {
	c.attempts++
	f := &flight{done: make(chan struct{}), attempt: c.attempts, forced: forced, rebuild: c.rebuild || forced, started: time.Now()}
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
			c.keep(fresh)
		}
		c.mu.Unlock()
		return
	}
	if err == nil && old.valid(now) && fresh.token.Token == old.token.Token {
		err = errSameToken
	}
	if err == nil {
		fresh.forced = f.forced
		if f.renewed = old.valid(now) && c.dropped == nil; f.renewed {
			c.stats.Refreshes++
		}
		c.keep(fresh)
		f.token = fresh.token
	} else {
		c.fail(f, old, now, err)
	}
	c.flight, f.err = nil, err
	c.mu.Unlock()
	c.log(f, fresh, old, err) // before anybody goes on, whose own lines come after it
	close(f.done)
}

// keep puts fresh in use. The caller holds mu.
func (c *TokenCache) keep(fresh *cachedToken) {
	c.current.Store(fresh)
	c.dropped, c.failure, c.throttled, c.attempts = nil, nil, false, 0
	c.retryAt.Store(0)
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
