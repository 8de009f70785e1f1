package redislogin

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestWhatDependsOnATokenEndsBeforeIt(t *testing.T) {
	for _, life := range []time.Duration{6 * time.Second, 8 * time.Second, 10 * time.Minute, time.Hour, 24 * time.Hour} {
		l := LifetimesOf(life)
		if l.Token > Ahead || l.Token > life/2 {
			t.Errorf("%v: connections want tokens that last for %v", life, l.Token)
		}
		if longest := max(l.Connection, l.Subscription) + l.Command; longest > l.Token*3/4 {
			t.Errorf("%v: a connection is in use for %v of %v", life, longest, l.Token)
		}
	}
}

func TestConnectionWaitsForATokenThatOutlivesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		tokens := azurepg.NewTokenCache(cred, &azurepg.TokenCacheOptions{Scope: scope, RefreshAhead: Ahead})
		first, err := lasting(t.Context(), tokens, Ahead)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(first.ExpiresOn) - time.Second) // nobody has asked for it since
		second, err := lasting(t.Context(), tokens, Ahead)
		if err != nil || second.Token == first.Token {
			t.Errorf("a new connection gets the token that lasts for a second, %v", err)
		}

		time.Sleep(time.Until(second.ExpiresOn) - time.Minute)
		cred.Fault(azurepgtest.Hang)
		third, err := lasting(t.Context(), tokens, Ahead)
		if err != nil || third.Token != second.Token {
			t.Errorf("without a new token it gets none that is good for a minute: %v", err)
		}
		cred.ClearFaults()
	})
}

func TestTokenWithoutObjectIDIsNoUser(t *testing.T) {
	for _, token := range []string{"", "hunter2", "a.b.c", "a.e30.c"} {
		if user, err := objectID(token); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("objectID(%q) = %q, %v", token, user, err)
		}
	}
}
