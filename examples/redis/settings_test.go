package main

import (
	"strings"
	"testing"
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
