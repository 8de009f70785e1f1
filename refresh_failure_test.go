package azurepg

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/azurepg/azurepg/azurepgtest"
)

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
