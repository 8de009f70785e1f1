package azurepg

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/azurepg/azurepg/azurepgtest"
)

// tokenFaults are what a token service does that is down, throttled or broken. None of
// them gives a token that can be used.
var tokenFaults = []struct {
	name   string
	fault  azurepgtest.Fault
	answer func(good azcore.AccessToken) azcore.AccessToken // nil: fault says what is wrong
}{
	{"reset", azurepgtest.Reset, nil},
	{"hanging", azurepgtest.Hang, nil},
	{"throttled", azurepgtest.Status(429, 0), nil},
	{"throttled, with Retry-After", azurepgtest.Status(429, 45*time.Second), nil},
	{"500", azurepgtest.Status(500, 0), nil},
	{"503 after 5 s", azurepgtest.Status(503, 0).After(5 * time.Second), nil},
	{"HTML", azurepgtest.Garbage, nil},
	{"JSON cut off", azurepgtest.TruncatedJSON, nil},
	{"the request sent back", azurepgtest.Echo, nil},
	{"secret expired", azurepgtest.SecretExpired, nil},
	{"wrong audience", azurepgtest.Fault{}, func(good azcore.AccessToken) azcore.AccessToken {
		good.Token = fakeJWT(`{"aud":"https://management.azure.com"}`)
		return good
	}},
	{"already expired", azurepgtest.Fault{}, func(good azcore.AccessToken) azcore.AccessToken {
		good.ExpiresOn = time.Now().Add(-time.Second)
		return good
	}},
	{"padded with white space", azurepgtest.Fault{}, func(good azcore.AccessToken) azcore.AccessToken {
		good.Token += "\n"
		return good
	}},
	{"empty", azurepgtest.Fault{}, func(good azcore.AccessToken) azcore.AccessToken {
		good.Token = ""
		return good
	}},
}

// spoil makes cred answer every request with the fault, until the function it returns.
func spoil(cred *azurepgtest.Credential, fault azurepgtest.Fault, answer func(azcore.AccessToken) azcore.AccessToken) (end func()) {
	cred.Fault(fault)
	if answer != nil {
		cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
			return answer(azcore.AccessToken{Token: fakeJWT("{}"), ExpiresOn: time.Now().Add(time.Hour)}), nil
		})
	}
	return func() {
		cred.ClearFaults()
		cred.SetAnswer(nil)
	}
}

// The last five minutes are those in which azidentity itself gives up.
func TestNoFaultOfTheTokenServiceReachesWhoHasAToken(t *testing.T) {
	for _, row := range tokenFaults {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cred := azurepgtest.NewCredential("")
				c := NewTokenCache(cred, nil)
				wantToken(t, c, cred, 1)
				end := spoil(cred, row.fault, row.answer)
				time.Sleep(55 * time.Minute)
				for range 5*60 - 1 {
					before := time.Now()
					token, err := c.Token(t.Context())
					if err != nil || number(cred, token.Token) != 1 || time.Since(before) != 0 {
						t.Fatalf("%v before the end: %v after %v; want the token, at once", time.Until(token.ExpiresOn), err, time.Since(before))
					}
					time.Sleep(time.Second)
				}
				if n := cred.TokenRequests() - 1; n < 1 || n > 11 {
					t.Errorf("%d refreshes in the last 5 minutes; want about one in 30 s", n)
				}
				end()
				time.Sleep(2 * time.Minute) // as long as the machine sleeps
				if token, err := c.Token(t.Context()); err != nil || token.Token == cred.Tokens()[0] {
					t.Errorf("the first call after the token's end: %v; want a new one", err)
				}
			})
		})
	}
}

func TestWithoutATokenAllWhoWaitShareOneErrorAndTheFirstGoodAnswerEndsIt(t *testing.T) {
	for _, row := range tokenFaults {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cred := azurepgtest.NewCredential("")
				end := spoil(cred, row.fault, row.answer)
				c := NewTokenCache(cred, nil)
				start := time.Now()
				texts := failTogether(t, c, 50)
				if len(texts) != 1 || cred.TokenRequests() != 1 {
					t.Errorf("50 callers got %d errors of %d requests; want one of one: %v", len(texts), cred.TokenRequests(), texts)
				}
				if took := time.Since(start); took > 30*time.Second {
					t.Errorf("it took %v; want the time-out of 30 s at most", took)
				}
				end()
				time.Sleep(time.Hour) // Retry-After is obeyed, see TestFailureIsSharedAndNotRepeatedWithinASecond
				if _, err := c.Token(t.Context()); err != nil {
					t.Errorf("with the service back: %v", err)
				}
			})
		})
	}
}

// failTogether calls Token n times at once and returns the texts of the errors. A caller
// whose deadline is short leaves on that.
func failTogether(t *testing.T, c *TokenCache, n int) map[string]bool {
	t.Helper()
	texts := map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			_, err := c.Token(t.Context())
			var te *TokenError
			if !errors.As(err, &te) || !strings.HasPrefix(err.Error(), "azurepg: ") || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("got %v; want a TokenError of one line", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			texts[err.Error()] = true
		})
	}
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := c.Token(ctx); err == nil || time.Since(start) > time.Millisecond {
			t.Errorf("a caller with a deadline of 1 ms got %v after %v", err, time.Since(start))
		}
	})
	wg.Wait()
	return texts
}

// The times in a token and when it was issued are of another clock; what counts is how long
// it lives.
func TestIssuersClockMayBeWrong(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			cred := azurepgtest.NewCredential("")
			cred.Fault(azurepgtest.ClockSkew(skew))
			c := NewTokenCache(cred, nil)
			for n := 1; n <= 3; n++ {
				wantToken(t, c, cred, n)
				time.Sleep(time.Hour + time.Second)
			}
		})
	}
}
