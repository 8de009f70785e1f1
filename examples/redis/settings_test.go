package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestAddressComesFromOneOfTwoSettings(t *testing.T) {
	for _, test := range []struct {
		url, addr string
		want      string
		db        int
	}{
		{"", "cache.redis.cache.windows.net:6380", "cache.redis.cache.windows.net:6380", 0},
		{"", "cache.redis.cache.windows.net", "cache.redis.cache.windows.net:6380", 0},
		{"", "[::1]", "[::1]:6380", 0},
		{"rediss://cache.westeurope.redis.azure.net:10000", "", "cache.westeurope.redis.azure.net:10000", 0},
		{"rediss://cache.redis.cache.windows.net/2", "", "cache.redis.cache.windows.net:6380", 2},
	} {
		if addr, db, err := address(test.url, test.addr); err != nil || addr != test.want || db != test.db {
			t.Errorf("address(%q, %q) = %q, %d, %v; want %q, %d", test.url, test.addr, addr, db, err, test.want, test.db)
		}
	}
}

func TestBadSettingIsNamedAndNotRepeated(t *testing.T) {
	for _, test := range []struct{ url, addr, want string }{
		{"", "", "REDIS_ADDR is missing"},
		{"rediss://cache:6380", "cache:6380", "REDIS_ADDR and REDIS_URL are both set"},
		{"redis://cache/hunter2", "", "REDIS_URL must begin with rediss://"},
		{"rediss://:hunter2@cache:6380", "", "REDIS_URL must have no user and no password"},
		{"rediss://user:hunter2@cache:6380", "", "REDIS_URL must have no user and no password"},
		{"rediss://cache:6380?password=hunter2", "", "REDIS_URL must have no options"},
		{"rediss://cache:6380/hunter2", "", "REDIS_URL must end in the number of a database"},
		{"rediss://cache:hunter2", "", "REDIS_URL is no URL"},
		{"hunter2", "", "REDIS_URL is no URL"},
		{"", ":hunter2", "REDIS_ADDR must be host:port"},
	} {
		_, _, err := address(test.url, test.addr)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("address(%q, %q): %v; want %s", test.url, test.addr, err, test.want)
		}
	}
}

func TestTLSCannotBeTurnedOff(t *testing.T) {
	p := newProgram(t, "")
	for name, value := range map[string]string{"REDIS_TLS_ENABLED": "false", "REDIS_TLS_VERIFY_MODE": "none"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if _, err := connect(t.Context(), p.logger); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v; want an error that names %s", err, name)
			}
		})
	}
}

func TestWhatDependsOnATokenEndsBeforeIt(t *testing.T) {
	for _, life := range []time.Duration{6 * time.Second, 8 * time.Second, 10 * time.Minute, time.Hour, 24 * time.Hour} {
		l := lifetimesOf(life)
		if l.token > ahead || l.token > life/2 {
			t.Errorf("%v: connections want tokens that last for %v", life, l.token)
		}
		if longest := max(l.connection, l.subscription) + l.command; longest > l.token*3/4 {
			t.Errorf("%v: a connection is in use for %v of %v", life, longest, l.token)
		}
	}
}

func TestConnectionWaitsForATokenThatOutlivesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		tokens := azurepg.NewTokenCache(cred, &azurepg.TokenCacheOptions{Scope: scope, RefreshAhead: ahead})
		first, err := lasting(t.Context(), tokens, ahead)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(first.ExpiresOn) - time.Second) // nobody has asked for it since
		second, err := lasting(t.Context(), tokens, ahead)
		if err != nil || second.Token == first.Token {
			t.Errorf("a new connection gets the token that lasts for a second, %v", err)
		}

		time.Sleep(time.Until(second.ExpiresOn) - time.Minute)
		cred.Fault(azurepgtest.Hang)
		third, err := lasting(t.Context(), tokens, ahead)
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
