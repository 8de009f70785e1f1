package azurepg

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/azurepg/azurepg/azurepgtest"
)

// always returns a credential that gives the same answer each time.
func always(token azcore.AccessToken, err error) *azurepgtest.Credential {
	cred := azurepgtest.NewCredential("")
	cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) { return token, err })
	return cred
}

// number says which of the tokens that cred has issued token is, counted from 1; 0 is
// none of them.
func number(cred *azurepgtest.Credential, token string) int {
	return slices.Index(cred.Tokens(), token) + 1
}

// wantToken fails unless the cache serves the token with that number.
func wantToken(t *testing.T, c *TokenCache, cred *azurepgtest.Credential, want int) {
	t.Helper()
	token, err := c.Token(t.Context())
	if got := number(cred, token.Token); err != nil || got != want {
		t.Fatalf("Token() = token %d, %v; want token %d", got, err, want)
	}
}

func wantCalls(t *testing.T, cred *azurepgtest.Credential, want int) {
	t.Helper()
	synctest.Wait()
	if got := cred.TokenRequests(); got != want {
		t.Fatalf("the credential was called %d times; want %d", got, want)
	}
}

func TestFreshTokenCostsNoAllocation(t *testing.T) {
	cred := azurepgtest.NewCredential("")
	c := NewTokenCache(cred, nil)
	wantToken(t, c, cred, 1)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Token(ctx) }); n != 0 {
		t.Errorf("a fresh token costs %v allocations; want 0", n)
	}
}

func TestFreshTokenIsReturnedThoughTheContextHasEnded(t *testing.T) {
	cred := azurepgtest.NewCredential("")
	c := NewTokenCache(cred, nil)
	wantToken(t, c, cred, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := c.Token(ctx); err != nil || number(cred, got.Token) != 1 {
		t.Errorf("got %q, %v; want the first token", got.Token, err)
	}
}

func TestThousandCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.Fault(azurepgtest.Delay(2 * time.Second))
		c := NewTokenCache(cred, nil)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { wantToken(t, c, cred, 1) })
		}
		wg.Wait()
		wantCalls(t, cred, 1)
	})
}

func TestStaleTokenIsServedWhileOneRefreshRunsBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.Fault(azurepgtest.Delay(10 * time.Second))
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		time.Sleep(55*time.Minute - time.Nanosecond)
		wantToken(t, c, cred, 1)
		wantCalls(t, cred, 1)
		time.Sleep(time.Nanosecond)
		before := time.Now()
		for range 100 {
			wantToken(t, c, cred, 1)
		}
		if waited := time.Since(before); waited != 0 {
			t.Errorf("callers waited %v for a refresh", waited)
		}
		wantCalls(t, cred, 2)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantToken(t, c, cred, 2)
		if s := c.Stats(); s.Fetches != 2 || s.Refreshes != 1 || s.Failures != 0 {
			t.Errorf("Stats() = %+v; want 2 fetches, 1 refresh, 0 failures", s)
		}
	})
}

func TestStaleTime(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name                   string
		life, refreshOn, ahead time.Duration
		want                   time.Duration
	}{
		{"five minutes before the end", time.Hour, 0, 5 * time.Minute, 55 * time.Minute},
		{"RefreshOn counts first", 24 * time.Hour, 12 * time.Hour, 5 * time.Minute, 12 * time.Hour},
		{"RefreshOn in the past is ignored", time.Hour, -time.Hour, 5 * time.Minute, 55 * time.Minute},
		{"RefreshOn after the end is ignored", time.Hour, 2 * time.Hour, 5 * time.Minute, 55 * time.Minute},
		{"a short token at half of its life", time.Minute, 0, 5 * time.Minute, 30 * time.Second},
		{"twice RefreshAhead is not short", 10 * time.Minute, 0, 5 * time.Minute, 5 * time.Minute},
		{"just under twice RefreshAhead is", 10*time.Minute - 2, 0, 5 * time.Minute, 5*time.Minute - 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			token := azcore.AccessToken{Token: "x", ExpiresOn: now.Add(row.life)}
			if row.refreshOn != 0 {
				token.RefreshOn = now.Add(row.refreshOn)
			}
			if got := staleTime(token, now, row.ahead).Sub(now); got != row.want {
				t.Errorf("stale after %v; want %v", got, row.want)
			}
		})
	}
}

func TestHangingServiceDelaysNobodyUntilTheTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.SetLifetime(time.Minute)
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		cred.Fault(azurepgtest.Hang)
		for range 60 {
			before := time.Now()
			wantToken(t, c, cred, 1)
			if waited := time.Since(before); waited != 0 {
				t.Fatalf("a caller waited %v with a valid token", waited)
			}
			time.Sleep(time.Second)
		}
		before := time.Now()
		_, err := c.Token(t.Context())
		var te *TokenError
		if !errors.As(err, &te) || !te.Temporary || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the end: %v; want a temporary TokenError of a time-out", err)
		}
		if waited := time.Since(before); waited > 30*time.Second {
			t.Errorf("after the end the caller waited %v; want at most the time-out of 30 s", waited)
		}
	})
}

func TestFailedRefreshKeepsTheTokenAndWaitsThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		cred.Fault(azurepgtest.Status(503, 0))
		time.Sleep(55 * time.Minute)
		for range 5 * 60 {
			wantToken(t, c, cred, 1)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := cred.TokenRequests() - 1; n < 9 || n > 11 {
			t.Errorf("%d refreshes in the last 5 minutes; want about one in 30 s", n)
		}
		if _, err := c.Token(t.Context()); err == nil {
			t.Error("an expired token was served")
		}
	})
}

func TestRefreshWaitsAsLongAsRetryAfterSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		cred.Fault(azurepgtest.Status(429, 100*time.Second).Times(1))
		time.Sleep(55 * time.Minute)
		wantToken(t, c, cred, 1)
		wantCalls(t, cred, 2)
		time.Sleep(100*time.Second - 1)
		wantToken(t, c, cred, 1)
		wantCalls(t, cred, 2)
		time.Sleep(time.Nanosecond)
		wantToken(t, c, cred, 1)
		wantCalls(t, cred, 3)
	})
}

func TestFailureIsSharedAndNotRepeatedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.Fault(azurepgtest.Status(503, 0).After(time.Second).Times(2))
		c := NewTokenCache(cred, nil)
		var wg sync.WaitGroup
		var shared sync.Map
		for range 50 {
			wg.Go(func() {
				_, err := c.Token(t.Context())
				shared.Store(err, true)
			})
		}
		wg.Wait()
		wantCalls(t, cred, 1)
		n := 0
		shared.Range(func(err, _ any) bool {
			n++
			var te *TokenError
			if !errors.As(err.(error), &te) {
				t.Errorf("got %v; want a TokenError", err)
			}
			return true
		})
		if n != 1 {
			t.Errorf("%d different errors; want one for all", n)
		}
		before := time.Now()
		time.Sleep(time.Second - 1)
		if _, err := c.Token(t.Context()); err == nil || time.Since(before) >= time.Second {
			t.Errorf("within a second: %v after %v; want the failure at once", err, time.Since(before))
		}
		wantCalls(t, cred, 1)
		time.Sleep(time.Nanosecond)
		if _, err := c.Token(t.Context()); err == nil {
			t.Error("the second fetch fails too")
		}
		wantCalls(t, cred, 2)
		time.Sleep(time.Second)
		wantToken(t, c, cred, 1) // recovery at the first good answer
	})
}

func TestImpatientCallerLeavesAndTheFetchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.Fault(azurepgtest.Delay(10 * time.Second))
		c := NewTokenCache(cred, nil)
		mine := errors.New("mine")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, mine)
		defer cancel()
		before := time.Now()
		_, err := c.Token(ctx)
		var te *TokenError
		if !errors.As(err, &te) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, mine) {
			t.Errorf("got %v; want a TokenError of DeadlineExceeded and its cause", err)
		}
		if waited := time.Since(before); waited != time.Second {
			t.Errorf("the caller left after %v; want 1s", waited)
		}
		wantToken(t, c, cred, 1)
		if waited := time.Since(before); waited != 10*time.Second {
			t.Errorf("the token came after %v; want 10s, from the first fetch", waited)
		}
		wantCalls(t, cred, 1)
	})
}

func TestCallerWhoseContextHasEndedStartsNoFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := NewTokenCache(cred, nil).Token(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v; want Canceled", err)
		}
		wantCalls(t, cred, 0)
	})
}

// azidentity's credentials wait on locks without their context.
func TestCredentialThatIgnoresItsContextHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
			time.Sleep(time.Minute)
			return azcore.AccessToken{Token: "late", ExpiresOn: time.Now().Add(time.Hour)}, nil
		})
		c := NewTokenCache(cred, &TokenCacheOptions{Timeout: 5 * time.Second})
		before := time.Now()
		if _, err := c.Token(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v; want DeadlineExceeded", err)
		}
		if waited := time.Since(before); waited != 5*time.Second {
			t.Errorf("waited %v; want the time-out of 5s", waited)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		wantToken(t, c, cred, 1) // the late answer is not lost
		wantCalls(t, cred, 1)
	})
}

func TestPanickingCredentialIsAnError(t *testing.T) {
	cred := azurepgtest.NewCredential("")
	config := &Config{ClientSecret: "HUNTER2"}
	cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		panic("boom with " + string(config.ClientSecret))
	})
	var te *TokenError
	if _, err := NewTokenCache(cred, nil).Token(t.Context()); !errors.As(err, &te) || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v; want a TokenError that says boom", err)
	}
	source := &tokenSource{name: "x", config: config, credential: cred}
	if _, err := newTokenCache(source, TokenCacheOptions{}).Token(t.Context()); err == nil || strings.Contains(err.Error(), "HUNTER2") {
		t.Errorf("got %v; want an error without the secret", err)
	}
	if _, err := NewTokenCache(nil, nil).Token(t.Context()); !errors.As(err, &te) {
		t.Errorf("without a credential: %v; want a TokenError", err)
	}
}

func TestTokenIsGoodUntilItsEndByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		time.Sleep(8 * time.Hour) // nobody calls, or the laptop sleeps
		wantCalls(t, cred, 1)     // no timer has fetched meanwhile
		wantToken(t, c, cred, 2)
		wantCalls(t, cred, 2)
	})
}

func TestRefreshWithTheSameTokenCountsAsFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := always(azcore.AccessToken{Token: "cached-elsewhere", ExpiresOn: time.Now().Add(time.Hour)}, nil)
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		time.Sleep(56 * time.Minute)
		wantToken(t, c, cred, 1)
		wantCalls(t, cred, 2)
		time.Sleep(26 * time.Second)
		wantToken(t, c, cred, 1)
		wantCalls(t, cred, 2)
		if s := c.Stats(); s.Failures != 1 || s.Refreshes != 0 {
			t.Errorf("Stats() = %+v; want 1 failure, 0 refreshes", s)
		}
	})
}

func TestBadTokensAreNeverServed(t *testing.T) {
	hour := time.Now().Add(time.Hour)
	jwt := func(aud string) string { return fakeJWT(`{"aud":` + aud + `}`) }
	for _, row := range []struct {
		name  string
		token azcore.AccessToken
		good  bool
	}{
		{"empty", azcore.AccessToken{ExpiresOn: hour}, false},
		{"already expired", azcore.AccessToken{Token: "x", ExpiresOn: time.Now().Add(-time.Second)}, false},
		{"without an end", azcore.AccessToken{Token: "x"}, false},
		{"with a newline, as az -o tsv adds", azcore.AccessToken{Token: "x\n", ExpiresOn: hour}, false},
		{"with a space", azcore.AccessToken{Token: " x", ExpiresOn: hour}, false},
		{"with a NUL", azcore.AccessToken{Token: "x\x00", ExpiresOn: hour}, false},
		{"for another service", azcore.AccessToken{Token: jwt(`"https://vault.azure.net"`), ExpiresOn: hour}, false},
		{"for other services", azcore.AccessToken{Token: jwt(`["https://vault.azure.net","https://graph.microsoft.com"]`), ExpiresOn: hour}, false},
		{"for this service", azcore.AccessToken{Token: jwt(`"https://ossrdbms-aad.database.windows.net"`), ExpiresOn: hour}, true},
		{"for this service, with a slash", azcore.AccessToken{Token: jwt(`"https://OSSRDBMS-aad.database.windows.net/"`), ExpiresOn: hour}, true},
		{"with a GUID for an audience", azcore.AccessToken{Token: jwt(`"123b0d5c-6c3c-4c5e-9d3e-c12a5a6b7c8d"`), ExpiresOn: hour}, true},
		{"with an api audience", azcore.AccessToken{Token: jwt(`"api://whatever"`), ExpiresOn: hour}, true},
		{"that is no JWT", azcore.AccessToken{Token: "opaque", ExpiresOn: hour}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := NewTokenCache(always(row.token, nil), nil).Token(t.Context())
			if (err == nil) != row.good {
				t.Fatalf("err = %v; want good = %v", err, row.good)
			}
			if err != nil && (got.Token != "" || strings.Contains(err.Error(), "\n")) {
				t.Errorf("got token %q with error %q", got.Token, err)
			}
		})
	}
}

func TestInvalidateDropsOnlyTheTokenInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		c.Invalidate("another")
		wantToken(t, c, cred, 1)
		c.Invalidate(cred.Tokens()[0])
		wantToken(t, c, cred, 2)
		c.Invalidate(cred.Tokens()[0]) // a late refusal of the old one
		wantToken(t, c, cred, 2)
		wantCalls(t, cred, 2)
	})
}

func TestTokenOfAForcedFetchStaysThoughRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		c.Invalidate(cred.Tokens()[0])
		wantToken(t, c, cred, 2)
		for range 50 {
			c.Invalidate(cred.Tokens()[1])
			wantToken(t, c, cred, 2)
			time.Sleep(time.Minute)
		}
		wantCalls(t, cred, 2)
		time.Sleep(6 * time.Minute) // its normal refresh
		wantToken(t, c, cred, 2)
		synctest.Wait()
		c.Invalidate(cred.Tokens()[2])
		wantToken(t, c, cred, 4)
	})
}

func TestOneForcedFetchInThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.SetLifetime(20 * time.Second)
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		c.Invalidate(cred.Tokens()[0])
		wantToken(t, c, cred, 2) // forced
		time.Sleep(10 * time.Second)
		wantToken(t, c, cred, 2)
		synctest.Wait() // token-3 by a normal refresh
		c.Invalidate(cred.Tokens()[2])
		wantToken(t, c, cred, 3) // too early for a second forced fetch
		if s := c.Stats(); s.Forced != 1 {
			t.Errorf("%d forced fetches; want 1", s.Forced)
		}
	})
}

func TestDroppedTokenComesBackIfTheFetchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		cred.Fault(azurepgtest.Status(503, 0))
		c.Invalidate(cred.Tokens()[0])
		wantToken(t, c, cred, 1)
		wantCalls(t, cred, 2)
	})
}

func TestFiftyRefusalsForceOneFetchAndOthersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.Fault(azurepgtest.Delay(time.Second))
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				got, err := c.replace(t.Context(), cred.Tokens()[0], true)
				if err != nil || number(cred, got.Token) != 2 {
					t.Errorf("replace = token %d, %v; want token 2", number(cred, got.Token), err)
				}
			})
		}
		synctest.Wait()
		before := time.Now()
		wantToken(t, c, cred, 1)
		if waited := time.Since(before); waited != 0 {
			t.Errorf("a caller whose token was not refused waited %v", waited)
		}
		wg.Wait()
		wantCalls(t, cred, 2)
		if got, err := c.replace(t.Context(), cred.Tokens()[0], false); err != nil || number(cred, got.Token) != 2 {
			t.Errorf("a late refusal got token %d, %v; want token 2 without a fetch", number(cred, got.Token), err)
		}
		if got, err := c.replace(t.Context(), cred.Tokens()[1], true); err != errForced {
			t.Errorf("the forced token refused: got %q, %v; want no other for 30 s", got.Token, err)
		}
		wantCalls(t, cred, 2)
	})
}

func TestReplaceSaysWhyThereIsNoOtherToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := azcore.AccessToken{Token: "kept", ExpiresOn: time.Now().Add(time.Hour)}
		keep := func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) { return kept, nil }
		cred := azurepgtest.NewCredential("")
		cred.SetAnswer(keep) // as the platform's cache does
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		if got, err := c.replace(t.Context(), cred.Tokens()[0], true); !isFinal(err) {
			t.Errorf("the same token again: got %q, %v; want no other", got.Token, err)
		}
		wantToken(t, c, cred, 1)
		if got, err := c.replace(t.Context(), cred.Tokens()[0], false); err != errHopeless {
			t.Errorf("without force: got %q, %v; want none, without a fetch", got.Token, err)
		}
		wantCalls(t, cred, 2)

		c = NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		cred.SetAnswer(nil)
		cred.Fault(azurepgtest.Status(503, 0))
		var te *TokenError
		if _, err := c.replace(t.Context(), cred.Tokens()[0], true); !errors.As(err, &te) || isFinal(err) {
			t.Errorf("with the service down: %v; want a TokenError", err)
		}
		if _, err := c.replace(t.Context(), cred.Tokens()[0], true); err != errForced {
			t.Errorf("within 30 s: %v; want errForced", err)
		}
		wantCalls(t, cred, 4)
		time.Sleep(forceInterval)
		cred.SetAnswer(keep)
		if _, err := c.replace(t.Context(), cred.Tokens()[0], true); !isFinal(err) {
			t.Errorf("after 30 s: %v; want no other after a fetch", err)
		}
		wantCalls(t, cred, 5)
		wantToken(t, c, cred, 1)
	})
}

func TestReplaceNeverReturnsTheRejectedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		cred.Fault(azurepgtest.Status(503, 0))
		c.Invalidate(cred.Tokens()[0]) // and then somebody else's refusal
		if got, err := c.replace(t.Context(), cred.Tokens()[0], true); err == nil || isFinal(err) {
			t.Errorf("replace = %q, %v; want the failure of the fetch", got.Token, err)
		}
		wantToken(t, c, cred, 1)
	})
}

// A refresh that began before the refusal brings what the credential keeps.
func TestRefusalDuringARefreshStillForcesAFetch(t *testing.T) {
	for name, refused := range map[string]func(context.Context, *TokenCache, string) (azcore.AccessToken, error){
		"replace": func(ctx context.Context, c *TokenCache, rejected string) (azcore.AccessToken, error) {
			return c.replace(ctx, rejected, true)
		},
		"Invalidate": func(ctx context.Context, c *TokenCache, rejected string) (azcore.AccessToken, error) {
			c.Invalidate(rejected)
			return c.Token(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cred := azurepgtest.NewCredential("")
				c := NewTokenCache(cred, nil)
				first, err := c.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(56 * time.Minute)
				cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
					cred.SetAnswer(nil)
					time.Sleep(time.Second)
					return first, nil
				})
				wantToken(t, c, cred, 1) // starts a refresh, which takes a second
				synctest.Wait()
				got, err := refused(t.Context(), c, first.Token)
				if err != nil || got.Token == first.Token {
					t.Errorf("got token %d, %v; want a new one", number(cred, got.Token), err)
				}
				if s := c.Stats(); s.Forced != 1 || s.Fetches != 3 {
					t.Errorf("Stats() = %+v; want 3 fetches, 1 forced", s)
				}
			})
		})
	}
}

// A token that came of a forced fetch may be revoked as well. But while refusals
// follow each other, the pauses between forced fetches double.
func TestPausesBetweenForcedFetchesDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.SetLifetime(24 * time.Hour)
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		n := 1
		for _, pause := range []time.Duration{forceInterval, 2 * forceInterval, 4 * forceInterval, 8 * forceInterval} {
			got, err := c.replace(t.Context(), cred.Tokens()[n-1], true)
			if err != nil || number(cred, got.Token) != n+1 {
				t.Fatalf("refusal %d: token %d, %v; want %d", n, number(cred, got.Token), err, n+1)
			}
			time.Sleep(pause - 1)
			if got, err := c.replace(t.Context(), got.Token, true); err != errForced {
				t.Errorf("%v later: token %d, %v; want none yet", pause-1, number(cred, got.Token), err)
			}
			time.Sleep(1 * time.Nanosecond)
			n++
		}
		for range 1000 {
			token, err := c.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.replace(t.Context(), token.Token, true)
			time.Sleep(time.Minute)
		}
		if forced := c.Stats().Forced; forced > 50 {
			t.Errorf("%d forced fetches in 17 hours of refusals; want one in half an hour at most", forced)
		}
	})
}

func TestForcedFetchesObeyTheServicesLimits(t *testing.T) {
	t.Run("a failure is held for a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cred := azurepgtest.NewCredential("")
			cred.SetLifetime(10 * time.Second)
			c := NewTokenCache(cred, nil)
			wantToken(t, c, cred, 1)
			cred.Fault(azurepgtest.Status(503, 0))
			time.Sleep(11 * time.Second) // it ended while logins were under way
			for range 100 {
				if _, err := c.replace(t.Context(), cred.Tokens()[0], true); err == nil {
					t.Error("a token, though the service is down")
				}
				time.Sleep(5 * time.Millisecond)
			}
			wantCalls(t, cred, 2)
		})
	})
	t.Run("Retry-After", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cred := azurepgtest.NewCredential("")
			cred.SetLifetime(2 * time.Hour)
			c := NewTokenCache(cred, &TokenCacheOptions{RefreshAhead: 50 * time.Minute})
			wantToken(t, c, cred, 1)
			cred.Fault(azurepgtest.Status(429, 30*time.Minute))
			time.Sleep(71 * time.Minute)
			wantToken(t, c, cred, 1)
			for range 20 {
				_, _ = c.replace(t.Context(), cred.Tokens()[0], true)
				time.Sleep(time.Minute)
			}
			wantCalls(t, cred, 2)
		})
	})
}

func TestLateAnswerDoesNotReplaceALaterToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
			late := azcore.AccessToken{Token: "late", ExpiresOn: time.Now().Add(5 * time.Minute)}
			time.Sleep(2 * time.Minute)
			return late, nil
		})
		c := NewTokenCache(cred, &TokenCacheOptions{Timeout: 5 * time.Second})
		if _, err := c.Token(t.Context()); err == nil {
			t.Fatal("the first fetch takes longer than its time-out")
		}
		cred.SetAnswer(nil)
		time.Sleep(2 * time.Second)
		wantToken(t, c, cred, 1)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if late := number(cred, "late"); late != 2 {
			t.Fatalf("the late answer is token %d; want 2", late)
		}
		wantToken(t, c, cred, 1)
		if s := c.Stats(); s.Fetches != 2 || s.Failures != 1 || s.Refreshes != 0 {
			t.Errorf("Stats() = %+v; want 2 fetches, 1 failure, 0 refreshes", s)
		}
	})
}

func TestTokenMayEndInAnotherMillennium(t *testing.T) {
	for _, year := range []int{2261, 2263, 9999} {
		cred := always(azcore.AccessToken{Token: "static", ExpiresOn: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}, nil)
		c := NewTokenCache(cred, nil)
		wantToken(t, c, cred, 1)
		wantToken(t, c, cred, 1)
		if got := c.Stats().Fetches; got != 1 {
			t.Errorf("year %d: %d fetches; want 1", year, got)
		}
	}
}

func TestCacheMayServeAsTheCredentialOfAnother(t *testing.T) {
	cred := azurepgtest.NewCredential("")
	cred.Fault(azurepgtest.TenantUnknown)
	c := NewTokenCache(NewTokenCache(cred, nil), nil)
	var te *TokenError
	if _, err := c.Token(t.Context()); !errors.As(err, &te) || te.Credential != "Credential" || te.Code != "AADSTS90002" {
		t.Errorf("got %v; want the error of the inner cache", err)
	}
}

func TestRetryAfterIsBelievedUpToAnHour(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name, header, value string
		want                time.Duration
	}{
		{"seconds", "Retry-After", "17", 17 * time.Second},
		{"milliseconds", "Retry-After-Ms", "250", 250 * time.Millisecond},
		{"the older spelling", "X-Ms-Retry-After-Ms", "250", 250 * time.Millisecond},
		{"a date", "Retry-After", now.Add(time.Minute).Format(http.TimeFormat), time.Minute},
		{"a date gone by", "Retry-After", now.Add(-time.Minute).Format(http.TimeFormat), 0},
		{"too many seconds to count", "Retry-After", "9300000000", 0},
		{"nonsense", "Retry-After", "soon", 0},
		{"negative", "Retry-After", "-5", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := retryAfter(http.Header{row.header: {row.value}}, now); got != row.want {
				t.Errorf("got %v; want %v", got, row.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.SetLifetime(24 * time.Hour)
		c := NewTokenCache(cred, &TokenCacheOptions{RefreshAhead: 12 * time.Hour})
		wantToken(t, c, cred, 1)
		cred.Fault(azurepgtest.Status(429, 20*time.Hour).Times(1))
		time.Sleep(12 * time.Hour)
		wantToken(t, c, cred, 1)
		synctest.Wait()
		time.Sleep(maxRetryAfter)
		wantToken(t, c, cred, 1)
		synctest.Wait()
		wantToken(t, c, cred, 2)
	})
}

func TestGetTokenIsForItsOwnScopeOnly(t *testing.T) {
	cred := azurepgtest.NewCredential("")
	c := NewTokenCache(cred, &TokenCacheOptions{Scope: "https://redis.azure.com/.default"})
	for _, row := range []struct {
		name string
		opts policy.TokenRequestOptions
		good bool
	}{
		{"its scope", policy.TokenRequestOptions{Scopes: []string{"https://redis.azure.com/.default"}}, true},
		{"another", policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}}, false},
		{"two", policy.TokenRequestOptions{Scopes: []string{"https://redis.azure.com/.default", "x"}}, false},
		{"none", policy.TokenRequestOptions{}, false},
		{"claims", policy.TokenRequestOptions{Scopes: []string{"https://redis.azure.com/.default"}, Claims: "{}"}, false},
		{"a tenant", policy.TokenRequestOptions{Scopes: []string{"https://redis.azure.com/.default"}, TenantID: "t"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := c.GetToken(t.Context(), row.opts)
			if (err == nil) != row.good || row.good && number(cred, got.Token) != 1 {
				t.Errorf("got %q, %v; want good = %v", got.Token, err, row.good)
			}
		})
	}
}

func TestPrintingACacheShowsNoToken(t *testing.T) {
	cred := azurepgtest.NewCredential("")
	c := NewTokenCache(cred, nil)
	wantToken(t, c, cred, 1)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, cred.Tokens()[0]) {
			t.Errorf("%s prints the token: %s", verb, text)
		}
	}
}

func BenchmarkFreshToken(b *testing.B) {
	cred := azurepgtest.NewCredential("")
	c := NewTokenCache(cred, nil)
	ctx := b.Context()
	if _, err := c.Token(ctx); err != nil {
		b.Fatal(err)
	}
	b.Run("one atomic load and time.Now", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if t := c.current.Load(); time.Now().UnixNano() >= t.staleAt {
				b.Fatal("stale")
			}
		}
	})
	b.Run("Token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Token(ctx)
		}
	})
	b.Run("Token, 64 goroutines", func(b *testing.B) {
		b.SetParallelism(32)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = c.Token(ctx)
			}
		})
	})
}
