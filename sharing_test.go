package azurepg

import (
	"runtime"
	"testing"
	"time"
)

// sharedCache returns the cache of a new Connector for cfg, which has no
// credential from code.
func sharedCache(t *testing.T, cfg Config) *TokenCache {
	t.Helper()
	cfg.Hosts = []Host{{Name: "db.example.com"}}
	if cfg.AzureCredential == "" {
		cfg.AzureCredential = credentialSecret
		cfg.TenantID, cfg.ClientID = "tenant", "client"
		if cfg.ClientSecret == "" {
			cfg.ClientSecret = "secret"
		}
	}
	c, err := NewConnector(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c.tokens
}

func TestCacheIsSharedByAllWithTheSameIdentity(t *testing.T) {
	first := sharedCache(t, Config{})
	for _, row := range []struct {
		name string
		cfg  Config
		env  string
		same bool
	}{
		{"the same", Config{}, "", true},
		{"another database and user", Config{Database: "d", User: "u", RuntimeParams: map[string]string{"a": "b"}}, "", true},
		{"the default refresh ahead, written out", Config{RefreshAhead: 5 * time.Minute}, "", true},
		{"another secret", Config{ClientSecret: "other"}, "", false},
		{"another refresh ahead", Config{RefreshAhead: time.Minute}, "", false},
		{"another time-out", Config{TokenTimeout: time.Minute}, "", false},
		{"another cloud", Config{Cloud: "china"}, "", false},
		{"another scope", Config{Scope: "https://redis.azure.com/.default"}, "", false},
		{"another authority", Config{AuthorityHost: "https://login.example.com/"}, "", false},
		{"another environment", Config{}, "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", false},
		{"another credential", Config{AzureCredential: "azure_cli"}, "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.env != "" {
				t.Setenv(row.env, "1")
			}
			if got := sharedCache(t, row.cfg) == first; got != row.same {
				t.Errorf("shared: %v; want %v", got, row.same)
			}
		})
	}
	runtime.KeepAlive(first)
}

func TestSharedCacheGoesWithItsLastConnector(t *testing.T) {
	cfg := Config{ClientSecret: "short-lived"}
	cache := sharedCache(t, cfg)
	id := identityOf(cache.source.config)
	known := func() bool {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		_, ok := shared.caches[id]
		return ok
	}
	if !known() {
		t.Fatal("the cache is not in the table")
	}
	runtime.KeepAlive(cache)
	deadline := time.Now().Add(10 * time.Second)
	for known() {
		if time.Now().After(deadline) {
			t.Fatal("the cache outlives its connectors")
		}
		runtime.GC() // clean-ups run some time after
	}
}

func TestTokenCacheOfAConfigIsThatOfItsConnectors(t *testing.T) {
	cfg := Config{AzureCredential: credentialSecret, TenantID: "tenant", ClientID: "client", ClientSecret: "secret"}
	connectors := sharedCache(t, cfg)
	if got, err := cfg.TokenCache(); err != nil || got != connectors {
		t.Errorf("without hosts and with the database's scope: got %p, %v; want the Connector's, %p", got, err, connectors)
	}
	redis := cfg
	redis.Scope = "https://redis.azure.com/.default"
	got, err := redis.TokenCache()
	if err != nil || got == connectors || got.scope != redis.Scope {
		t.Errorf("with another scope: got %v, %v; want a cache for it", got, err)
	}
	again, _ := redis.TokenCache()
	if again != got {
		t.Error("another cache for the same identity and scope")
	}
	if _, err := (&Config{AzureCredential: "bogus"}).TokenCache(); err == nil {
		t.Error("a credential that there is not: no error")
	}
	runtime.KeepAlive(connectors)
}
