package azurepg

import (
	"context"
	"errors"
	"fmt"
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
