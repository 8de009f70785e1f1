package azurepg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// fakeCredential counts its calls and answers each with answer.
type fakeCredential struct {
	calls  atomic.Int64
	answer func(ctx context.Context, call int) (azcore.AccessToken, error)
}

func (f *fakeCredential) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return f.answer(ctx, int(f.calls.Add(1)))
}

// lasting answers call n with the token "token-n", good for life.
func lasting(life time.Duration) func(context.Context, int) (azcore.AccessToken, error) {
	return func(_ context.Context, call int) (azcore.AccessToken, error) { return numbered(call, life), nil }
}

func numbered(n int, life time.Duration) azcore.AccessToken {
	return azcore.AccessToken{Token: fmt.Sprintf("token-%d", n), ExpiresOn: time.Now().Add(life)}
}

func wantToken(t *testing.T, c *TokenCache, want string) {
	t.Helper()
	got, err := c.Token(t.Context())
	if err != nil || got.Token != want {
		t.Fatalf("Token() = %q, %v; want %q", got.Token, err, want)
	}
}

func wantCalls(t *testing.T, f *fakeCredential, want int64) {
	t.Helper()
	synctest.Wait()
	if got := f.calls.Load(); got != want {
		t.Fatalf("the credential was called %d times; want %d", got, want)
	}
}

func TestFreshTokenCostsNoAllocation(t *testing.T) {
	c := NewTokenCache(&fakeCredential{answer: lasting(time.Hour)}, nil)
	wantToken(t, c, "token-1")
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Token(ctx) }); n != 0 {
		t.Errorf("a fresh token costs %v allocations; want 0", n)
	}
}

func TestFreshTokenIsReturnedThoughTheContextHasEnded(t *testing.T) {
	c := NewTokenCache(&fakeCredential{answer: lasting(time.Hour)}, nil)
	wantToken(t, c, "token-1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := c.Token(ctx); err != nil || got.Token != "token-1" {
		t.Errorf("got %q, %v; want token-1", got.Token, err)
	}
}

func TestThousandCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			time.Sleep(2 * time.Second)
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, nil)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { wantToken(t, c, "token-1") })
		}
		wg.Wait()
		wantCalls(t, f, 1)
	})
}

func TestStaleTokenIsServedWhileOneRefreshRunsBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			time.Sleep(10 * time.Second)
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		time.Sleep(55*time.Minute - time.Nanosecond)
		wantToken(t, c, "token-1")
		wantCalls(t, f, 1)
		time.Sleep(time.Nanosecond)
		before := time.Now()
		for range 100 {
			wantToken(t, c, "token-1")
		}
		if waited := time.Since(before); waited != 0 {
			t.Errorf("callers waited %v for a refresh", waited)
		}
		wantCalls(t, f, 2)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantToken(t, c, "token-2")
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
		f := &fakeCredential{answer: func(ctx context.Context, n int) (azcore.AccessToken, error) {
			if n > 1 {
				<-ctx.Done()
				return azcore.AccessToken{}, ctx.Err()
			}
			return numbered(n, time.Minute), nil
		}}
		c := NewTokenCache(f, nil)
		for range 60 {
			before := time.Now()
			wantToken(t, c, "token-1")
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
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			if n > 1 {
				return azcore.AccessToken{}, errors.New("down")
			}
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		time.Sleep(55 * time.Minute)
		for range 5 * 60 {
			wantToken(t, c, "token-1")
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := f.calls.Load() - 1; n < 9 || n > 11 {
			t.Errorf("%d refreshes in the last 5 minutes; want about one in 30 s", n)
		}
		if _, err := c.Token(t.Context()); err == nil {
			t.Error("an expired token was served")
		}
	})
}

func TestRefreshWaitsAsLongAsRetryAfterSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			if n == 2 {
				return azcore.AccessToken{}, &TokenError{RetryAfter: 100 * time.Second}
			}
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(passTokenErrors{f}, nil)
		wantToken(t, c, "token-1")
		time.Sleep(55 * time.Minute)
		wantToken(t, c, "token-1")
		wantCalls(t, f, 2)
		time.Sleep(100*time.Second - 1)
		wantToken(t, c, "token-1")
		wantCalls(t, f, 2)
		time.Sleep(time.Nanosecond)
		wantToken(t, c, "token-1")
		wantCalls(t, f, 3)
	})
}

// passTokenErrors is a credential whose errors are TokenErrors already, as those
// of a TokenCache are.
type passTokenErrors struct{ *fakeCredential }

func TestFailureIsSharedAndNotRepeatedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			time.Sleep(time.Second)
			if n < 3 {
				return azcore.AccessToken{}, errors.New("down")
			}
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, nil)
		var wg sync.WaitGroup
		var shared sync.Map
		for range 50 {
			wg.Go(func() {
				_, err := c.Token(t.Context())
				shared.Store(err, true)
			})
		}
		wg.Wait()
		wantCalls(t, f, 1)
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
		wantCalls(t, f, 1)
		time.Sleep(time.Nanosecond)
		if _, err := c.Token(t.Context()); err == nil {
			t.Error("the second fetch fails too")
		}
		wantCalls(t, f, 2)
		time.Sleep(time.Second)
		wantToken(t, c, "token-3") // recovery at the first good answer
	})
}

func TestImpatientCallerLeavesAndTheFetchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(ctx context.Context, n int) (azcore.AccessToken, error) {
			select {
			case <-time.After(10 * time.Second):
				return numbered(n, time.Hour), nil
			case <-ctx.Done():
				return azcore.AccessToken{}, ctx.Err()
			}
		}}
		c := NewTokenCache(f, nil)
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
		wantToken(t, c, "token-1")
		if waited := time.Since(before); waited != 10*time.Second {
			t.Errorf("the token came after %v; want 10s, from the first fetch", waited)
		}
		wantCalls(t, f, 1)
	})
}

func TestCallerWhoseContextHasEndedStartsNoFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: lasting(time.Hour)}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := NewTokenCache(f, nil).Token(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v; want Canceled", err)
		}
		wantCalls(t, f, 0)
	})
}

// azidentity's credentials wait on locks without their context.
func TestCredentialThatIgnoresItsContextHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			time.Sleep(time.Minute)
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, &TokenCacheOptions{Timeout: 5 * time.Second})
		before := time.Now()
		if _, err := c.Token(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v; want DeadlineExceeded", err)
		}
		if waited := time.Since(before); waited != 5*time.Second {
			t.Errorf("waited %v; want the time-out of 5s", waited)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		wantToken(t, c, "token-1") // the late answer is not lost
		wantCalls(t, f, 1)
	})
}

func TestPanickingCredentialIsAnError(t *testing.T) {
	c := NewTokenCache(&fakeCredential{answer: func(context.Context, int) (azcore.AccessToken, error) { panic("boom") }}, nil)
	var te *TokenError
	if _, err := c.Token(t.Context()); !errors.As(err, &te) || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v; want a TokenError that says boom", err)
	}
	config := &Config{ClientSecret: "HUNTER2"}
	source := &tokenSource{name: "x", config: config, credential: &fakeCredential{answer: func(context.Context, int) (azcore.AccessToken, error) {
		panic("boom with " + string(config.ClientSecret))
	}}}
	if _, err := newTokenCache(source, TokenCacheOptions{}).Token(t.Context()); err == nil || strings.Contains(err.Error(), "HUNTER2") {
		t.Errorf("got %v; want an error without the secret", err)
	}
	if _, err := NewTokenCache(nil, nil).Token(t.Context()); !errors.As(err, &te) {
		t.Errorf("without a credential: %v; want a TokenError", err)
	}
}

func TestTokenIsGoodUntilItsEndByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: lasting(time.Hour)}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		time.Sleep(8 * time.Hour) // nobody calls, or the laptop sleeps
		wantCalls(t, f, 1)        // no timer has fetched meanwhile
		wantToken(t, c, "token-2")
		wantCalls(t, f, 2)
	})
}

func TestRefreshWithTheSameTokenCountsAsFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := time.Now().Add(time.Hour)
		f := &fakeCredential{answer: func(context.Context, int) (azcore.AccessToken, error) {
			return azcore.AccessToken{Token: "cached-elsewhere", ExpiresOn: ends}, nil
		}}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "cached-elsewhere")
		time.Sleep(56 * time.Minute)
		wantToken(t, c, "cached-elsewhere")
		wantCalls(t, f, 2)
		time.Sleep(26 * time.Second)
		wantToken(t, c, "cached-elsewhere")
		wantCalls(t, f, 2)
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
			c := NewTokenCache(&fakeCredential{answer: func(context.Context, int) (azcore.AccessToken, error) { return row.token, nil }}, nil)
			got, err := c.Token(t.Context())
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
		f := &fakeCredential{answer: lasting(time.Hour)}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		c.Invalidate("another")
		wantToken(t, c, "token-1")
		c.Invalidate("token-1")
		wantToken(t, c, "token-2")
		c.Invalidate("token-1") // a late refusal of the old one
		wantToken(t, c, "token-2")
		wantCalls(t, f, 2)
	})
}

func TestTokenOfAForcedFetchStaysThoughRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: lasting(time.Hour)}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		c.Invalidate("token-1")
		wantToken(t, c, "token-2")
		for range 50 {
			c.Invalidate("token-2")
			wantToken(t, c, "token-2")
			time.Sleep(time.Minute)
		}
		wantCalls(t, f, 2)
		time.Sleep(6 * time.Minute) // its normal refresh
		wantToken(t, c, "token-2")
		synctest.Wait()
		c.Invalidate("token-3")
		wantToken(t, c, "token-4")
	})
}

func TestOneForcedFetchInThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: lasting(20 * time.Second)}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		c.Invalidate("token-1")
		wantToken(t, c, "token-2") // forced
		time.Sleep(10 * time.Second)
		wantToken(t, c, "token-2")
		synctest.Wait() // token-3 by a normal refresh
		c.Invalidate("token-3")
		wantToken(t, c, "token-3") // too early for a second forced fetch
		if s := c.Stats(); s.Forced != 1 {
			t.Errorf("%d forced fetches; want 1", s.Forced)
		}
	})
}

func TestDroppedTokenComesBackIfTheFetchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			if n > 1 {
				return azcore.AccessToken{}, errors.New("down")
			}
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		c.Invalidate("token-1")
		wantToken(t, c, "token-1")
		wantCalls(t, f, 2)
	})
}

func TestFiftyRefusalsForceOneFetchAndOthersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			time.Sleep(time.Second)
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				got, err := c.replace(t.Context(), "token-1", true)
				if err != nil || got.Token != "token-2" {
					t.Errorf("replace = %q, %v; want token-2", got.Token, err)
				}
			})
		}
		synctest.Wait()
		before := time.Now()
		wantToken(t, c, "token-1")
		if waited := time.Since(before); waited != 0 {
			t.Errorf("a caller whose token was not refused waited %v", waited)
		}
		wg.Wait()
		wantCalls(t, f, 2)
		if got, err := c.replace(t.Context(), "token-1", false); err != nil || got.Token != "token-2" {
			t.Errorf("a late refusal got %q, %v; want token-2 without a fetch", got.Token, err)
		}
		if got, err := c.replace(t.Context(), "token-2", true); err != errForced {
			t.Errorf("the forced token refused: got %q, %v; want no other for 30 s", got.Token, err)
		}
		wantCalls(t, f, 2)
	})
}

func TestReplaceSaysWhyThereIsNoOtherToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			if down {
				return azcore.AccessToken{}, errors.New("down")
			}
			return numbered(1, time.Hour), nil // the platform's cache: always the same
		}}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		if got, err := c.replace(t.Context(), "token-1", true); !isFinal(err) {
			t.Errorf("the same token again: got %q, %v; want no other", got.Token, err)
		}
		wantToken(t, c, "token-1")
		if got, err := c.replace(t.Context(), "token-1", false); err != errHopeless {
			t.Errorf("without force: got %q, %v; want none, without a fetch", got.Token, err)
		}
		wantCalls(t, f, 2)

		c = NewTokenCache(f, nil)
		down = false
		wantToken(t, c, "token-1")
		down = true
		var te *TokenError
		if _, err := c.replace(t.Context(), "token-1", true); !errors.As(err, &te) || isFinal(err) {
			t.Errorf("with the service down: %v; want a TokenError", err)
		}
		if _, err := c.replace(t.Context(), "token-1", true); err != errForced {
			t.Errorf("within 30 s: %v; want errForced", err)
		}
		wantCalls(t, f, 4)
		time.Sleep(forceInterval)
		down = false
		if _, err := c.replace(t.Context(), "token-1", true); !isFinal(err) {
			t.Errorf("after 30 s: %v; want no other after a fetch", err)
		}
		wantCalls(t, f, 5)
		wantToken(t, c, "token-1")
	})
}

func TestReplaceNeverReturnsTheRejectedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			if n > 1 {
				return azcore.AccessToken{}, errors.New("down")
			}
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, nil)
		wantToken(t, c, "token-1")
		c.Invalidate("token-1") // and then somebody else's refusal
		if got, err := c.replace(t.Context(), "token-1", true); err == nil || isFinal(err) {
			t.Errorf("replace = %q, %v; want the failure of the fetch", got.Token, err)
		}
		wantToken(t, c, "token-1")
	})
}

// A refresh that began before the refusal brings what the credential keeps.
func TestRefusalDuringARefreshStillForcesAFetch(t *testing.T) {
	for name, refused := range map[string]func(*TokenCache, context.Context) (azcore.AccessToken, error){
		"replace": func(c *TokenCache, ctx context.Context) (azcore.AccessToken, error) {
			return c.replace(ctx, "token-1", true)
		},
		"Invalidate": func(c *TokenCache, ctx context.Context) (azcore.AccessToken, error) {
			c.Invalidate("token-1")
			return c.Token(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
					time.Sleep(time.Second)
					return numbered(max(1, n-1), time.Hour), nil // token-1 twice
				}}
				c := NewTokenCache(f, nil)
				wantToken(t, c, "token-1")
				time.Sleep(56 * time.Minute)
				wantToken(t, c, "token-1") // starts a refresh, which takes a second
				synctest.Wait()
				got, err := refused(c, t.Context())
				if err != nil || got.Token != "token-2" {
					t.Errorf("got %q, %v; want token-2", got.Token, err)
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
		c := NewTokenCache(&fakeCredential{answer: lasting(24 * time.Hour)}, nil)
		wantToken(t, c, "token-1")
		n := 1
		for _, pause := range []time.Duration{forceInterval, 2 * forceInterval, 4 * forceInterval, 8 * forceInterval} {
			old, next := fmt.Sprint("token-", n), fmt.Sprint("token-", n+1)
			got, err := c.replace(t.Context(), old, true)
			if err != nil || got.Token != next {
				t.Fatalf("refusal %d: %q, %v; want %s", n, got.Token, err, next)
			}
			time.Sleep(pause - 1)
			if got, err := c.replace(t.Context(), next, true); err != errForced {
				t.Errorf("%v later: %q, %v; want none yet", pause-1, got.Token, err)
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
			f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
				if n > 1 {
					return azcore.AccessToken{}, errors.New("down")
				}
				return numbered(n, 10*time.Second), nil
			}}
			c := NewTokenCache(f, nil)
			wantToken(t, c, "token-1")
			time.Sleep(11 * time.Second) // it ended while logins were under way
			for range 100 {
				if _, err := c.replace(t.Context(), "token-1", true); err == nil {
					t.Error("a token, though the service is down")
				}
				time.Sleep(5 * time.Millisecond)
			}
			wantCalls(t, f, 2)
		})
	})
	t.Run("Retry-After", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
				if n > 1 {
					return azcore.AccessToken{}, &TokenError{RetryAfter: 30 * time.Minute, StatusCode: 429}
				}
				return numbered(n, 2*time.Hour), nil
			}}
			c := NewTokenCache(f, &TokenCacheOptions{RefreshAhead: 50 * time.Minute})
			wantToken(t, c, "token-1")
			time.Sleep(71 * time.Minute)
			wantToken(t, c, "token-1")
			for range 20 {
				_, _ = c.replace(t.Context(), "token-1", true)
				time.Sleep(time.Minute)
			}
			wantCalls(t, f, 2)
		})
	})
}

func TestLateAnswerDoesNotReplaceALaterToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			if n == 1 {
				token := numbered(1, 5*time.Minute)
				time.Sleep(2 * time.Minute)
				return token, nil
			}
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, &TokenCacheOptions{Timeout: 5 * time.Second})
		if _, err := c.Token(t.Context()); err == nil {
			t.Fatal("the first fetch takes longer than its time-out")
		}
		time.Sleep(2 * time.Second)
		wantToken(t, c, "token-2")
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		wantToken(t, c, "token-2")
		if s := c.Stats(); s.Fetches != 2 || s.Failures != 1 || s.Refreshes != 0 {
			t.Errorf("Stats() = %+v; want 2 fetches, 1 failure, 0 refreshes", s)
		}
	})
}

func TestTokenMayEndInAnotherMillennium(t *testing.T) {
	for _, year := range []int{2261, 2263, 9999} {
		c := NewTokenCache(&fakeCredential{answer: func(context.Context, int) (azcore.AccessToken, error) {
			return azcore.AccessToken{Token: "static", ExpiresOn: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
		}}, nil)
		wantToken(t, c, "static")
		wantToken(t, c, "static")
		if got := c.Stats().Fetches; got != 1 {
			t.Errorf("year %d: %d fetches; want 1", year, got)
		}
	}
}

func TestCacheMayServeAsTheCredentialOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCredential{answer: func(context.Context, int) (azcore.AccessToken, error) {
			return azcore.AccessToken{}, &TokenError{Credential: "inner", Code: "AADSTS90002"}
		}}
		c := NewTokenCache(f, nil)
		var te *TokenError
		if _, err := c.Token(t.Context()); !errors.As(err, &te) || te.Credential != "inner" || te.Code != "AADSTS90002" {
			t.Errorf("got %v; want the error of the inner cache", err)
		}
	})
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
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			if n == 2 {
				return azcore.AccessToken{}, &TokenError{RetryAfter: 20 * time.Hour}
			}
			return numbered(n, 24*time.Hour), nil
		}}
		c := NewTokenCache(f, &TokenCacheOptions{RefreshAhead: 12 * time.Hour})
		wantToken(t, c, "token-1")
		time.Sleep(12 * time.Hour)
		wantToken(t, c, "token-1")
		synctest.Wait()
		time.Sleep(maxRetryAfter)
		wantToken(t, c, "token-1")
		synctest.Wait()
		wantToken(t, c, "token-3")
	})
}

func TestGetTokenIsForItsOwnScopeOnly(t *testing.T) {
	c := NewTokenCache(&fakeCredential{answer: lasting(time.Hour)}, &TokenCacheOptions{Scope: "https://redis.azure.com/.default"})
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
			if (err == nil) != row.good || row.good && got.Token != "token-1" {
				t.Errorf("got %q, %v; want good = %v", got.Token, err, row.good)
			}
		})
	}
}

func TestLogSaysWhatHappenedAndNeverTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		f := &fakeCredential{answer: func(_ context.Context, n int) (azcore.AccessToken, error) {
			if n > 1 {
				return azcore.AccessToken{}, errors.New("line one\nlevel=INFO msg=forged")
			}
			return numbered(n, time.Hour), nil
		}}
		c := NewTokenCache(f, &TokenCacheOptions{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		wantToken(t, c, "token-1")
		time.Sleep(55 * time.Minute)
		wantToken(t, c, "token-1")
		synctest.Wait()
		time.Sleep(6 * time.Minute)
		_, _ = c.Token(t.Context())
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		want := []string{"token fetched", "left=5m0s", "no token"}
		if len(lines) != len(want) {
			t.Fatalf("%d lines; want %d:\n%s", len(lines), len(want), out.String())
		}
		for i := range want {
			if !strings.Contains(lines[i], want[i]) || strings.Contains(lines[i], "token-1") {
				t.Errorf("line %d: %s; want %q and no token", i, lines[i], want[i])
			}
		}
	})
}

func TestPrintingACacheShowsNoToken(t *testing.T) {
	f := &fakeCredential{answer: lasting(time.Hour)}
	c := NewTokenCache(f, nil)
	wantToken(t, c, "token-1")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, "token-1") {
			t.Errorf("%s prints the token: %s", verb, text)
		}
	}
}

func BenchmarkFreshToken(b *testing.B) {
	c := NewTokenCache(&fakeCredential{answer: lasting(time.Hour)}, nil)
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
