package azurepg

import (
	"math"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// cachedToken is immutable. Its times are wall-clock, in nanoseconds since 1970:
// the monotonic clock stands still while a laptop sleeps.
type cachedToken struct {
	token   azcore.AccessToken
	staleAt int64
	endsAt  int64
	forced  bool // it came of a forced fetch, or outlasted one
}

// valid reports whether t, which may be nil, can still log in.
func (t *cachedToken) valid(now time.Time) bool { return t != nil && now.UnixNano() < t.endsAt }

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
