package azurepg

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"weak"
)

// TokenCache returns the token cache that Connectors of c's identity and scope share,
// for services beside the database: with Scope set to theirs, such as
// https://redis.azure.com/.default, and without Hosts. It is c.Tokens if that is set,
// and a new one for c.Credential. What c says of the database has no effect. Its
// errors are *DSNError; nothing is fetched before the first Token.
func (c *Config) TokenCache() (*TokenCache, error) {
	d := c.Clone()
	if len(d.Hosts) == 0 {
		d.Hosts = []Host{{Name: "localhost"}} // checkCloud looks at the first one's name
	}
	for _, step := range []func(*Config) error{checkFields, checkCredential, checkCloud} {
		if err := step(d); err != nil {
			return nil, err
		}
	}
	return tokenCache(d)
}

// tokenCache returns the token cache for cfg, which is checked: cfg.Tokens, one
// of its own for cfg.Credential, else the one that the whole process shares for
// this identity.
func tokenCache(cfg *Config) (*TokenCache, error) {
	opts := TokenCacheOptions{Scope: cfg.Scope, RefreshAhead: cfg.RefreshAhead, Timeout: cfg.TokenTimeout, Logger: cfg.Logger}
	switch {
	case cfg.Tokens != nil:
		return cfg.Tokens, nil
	case cfg.Credential != nil:
		return NewTokenCache(cfg.Credential, &opts), nil
	}
	return shared.get(identityOf(cfg), cfg.Logger, func() (*TokenCache, error) {
		source := &tokenSource{name: cfg.AzureCredential, config: cfg}
		var err error
		if source.credential, err = newCredential(cfg, source); err != nil {
			return nil, err
		}
		return newTokenCache(source, opts), nil
	})
}

// sharedCaches are the token caches of the process, one for each identity. They
// are weak: a cache that no Connector holds any more goes.
type sharedCaches struct {
	mu     sync.Mutex // guards caches
	caches map[identity]weak.Pointer[TokenCache]
}

var shared = sharedCaches{caches: map[identity]weak.Pointer[TokenCache]{}}

func (s *sharedCaches) get(id identity, logger *slog.Logger, build func() (*TokenCache, error)) (*TokenCache, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.caches[id].Value(); c != nil {
		c.setLogger(logger)
		return c, nil
	}
	c, err := build()
	if err != nil {
		return nil, err
	}
	w := weak.Make(c)
	s.caches[id] = w
	runtime.AddCleanup(c, func(id identity) { s.forget(id, w) }, id)
	return c, nil
}

func (s *sharedCaches) forget(id identity, gone weak.Pointer[TokenCache]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.caches[id] == gone {
		delete(s.caches, id)
	}
}

// identity is a hash over everything that decides which token a credential
// gets, secrets included.
type identity [sha256.Size]byte

// identityVariables are the beginnings of the variables that decide which token
// azidentity, or a tool that it runs, gets.
var identityVariables = []string{"AZURE_", "IDENTITY_", "MSI_", "IMDS_", "DEFAULT_IDENTITY_CLIENT_ID=", "PATH=", "HOME=", "USERPROFILE="}

// identityOf hashes the settings of cfg and those variables.
func identityOf(cfg *Config) identity {
	h := sha256.New()
	put := func(values ...string) {
		for _, v := range values {
			fmt.Fprintf(h, "%d:%s;", len(v), v) // lengths keep neighbours apart
		}
	}
	put(cfg.AzureCredential, cfg.TenantID, cfg.ClientID, string(cfg.ClientSecret), cfg.ClientCertificatePath,
		string(cfg.ClientCertificatePassword), cfg.FederatedTokenFile, cfg.ManagedIdentityResourceID,
		cfg.ManagedIdentityObjectID, authority(cfg), strconv.FormatBool(cfg.DisableInstanceDiscovery),
		cfg.Scope, cfg.RefreshAhead.String(), cfg.TokenTimeout.String())
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return !slices.ContainsFunc(identityVariables, func(prefix string) bool { return strings.HasPrefix(kv, prefix) })
	})
	slices.Sort(env)
	put(env...)
	return identity(h.Sum(nil))
}
