package azurepg

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/azurepg/azurepg/azurepgtest"
)

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
