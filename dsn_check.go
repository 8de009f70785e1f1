package azurepg

import (
	"maps"
	"slices"
	"strings"
)

// checked returns a copy of c with its defaults filled in, or what is wrong with
// it. The rules are those of a DSN, but for Scope, which code may choose. It reads
// neither environment nor files.
func (c *Config) checked() (*Config, error) {
	d := c.Clone()
	for _, step := range []func(*Config) error{checkFields, checkParams, checkHosts, checkTLS, checkCredential, checkCloud} {
		if err := step(d); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// checkFields checks each field by itself, and fills in what does not depend on
// the others.
func checkFields(c *Config) error {
	for _, k := range dsnKeys {
		if k.get == nil || k.kind == kindBase || k.kind == kindPool || k.kind == kindRuntime {
			continue
		}
		v := k.get(c)
		switch {
		case strings.IndexByte(v, 0) >= 0:
			return dsnErrorf(k.name, "it holds a NUL character")
		case v == "" && k.def != "" && k.name != "sslrootcert" && k.name != "azure_credential":
			k.set(c, k.def)
		case v != "" && k.check != nil && k.name != "azure_scope":
			if err := k.check(v); err != nil {
				return labelDSN(&k, err)
			}
		}
	}
	if c.ConnectTimeout < 0 {
		c.ConnectTimeout = noConnectTimeout
	}
	return nil
}

// checkParams checks the three maps.
func checkParams(c *Config) error {
	for _, name := range slices.Sorted(maps.Keys(c.RuntimeParams)) {
		resolved, err := resolveName(name, "a name in RuntimeParams")
		k := dsnKeyIndex[resolved]
		switch {
		case err != nil:
			return err
		case resolved == "password":
			return &DSNError{Key: "password", Err: ErrPasswordInDSN}
		case k != nil && k.kind != kindRuntime:
			return dsnErrorf(k.name, "it is no run-time parameter: it has a field or map of its own in Config")
		case name != resolved:
			return dsnErrorf("RuntimeParams", "the names must be in lower case")
		case strings.IndexByte(c.RuntimeParams[name], 0) >= 0:
			return dsnErrorf("RuntimeParams", "a value holds a NUL character")
		}
	}
	if err := checkKeyed("BaseParams", kindBase, c.BaseParams); err != nil {
		return err
	}
	return checkKeyed("PoolParams", kindPool, c.PoolParams)
}

func checkKeyed(field string, kind dsnKind, params map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		k := dsnKeyIndex[name]
		if k == nil || k.kind != kind {
			return dsnErrorf(field, "one of the names is no key for it; ParseDSN lists them")
		}
		if err := k.check(params[name]); err != nil {
			return labelDSN(k, err)
		}
	}
	return nil
}

func checkHosts(c *Config) error {
	if len(c.Hosts) == 0 {
		return errNoHost
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		h.Name = unbracket(h.Name)
		if err := checkHostName(h.Name); err != nil {
			return &DSNError{Key: "host", Err: err}
		}
		if err := checkHostAddr(h.Addr); err != nil {
			return &DSNError{Key: "hostaddr", Err: err}
		}
		if h.Port == 0 {
			h.Port = defaultPort
		}
	}
	return nil
}

// checkTLS settles SSLMode and SSLRootCert, which depend on each other and on the
// hosts. An empty SSLRootCert is what the others see of "system".
func checkTLS(c *Config) error {
	if c.TLSConfig != nil {
		for _, f := range []struct{ key, file string }{{"sslrootcert", c.SSLRootCert}, {"sslcert", c.SSLCert}, {"sslkey", c.SSLKey}} {
			if f.file != "" && f.file != systemRoots {
				return dsnErrorf(f.key, "Config.TLSConfig takes the place of the ssl files: set one or the other")
			}
		}
	}
	if c.SSLCert != "" && c.SSLKey == "" {
		return dsnErrorf("sslkey", "sslcert is set without it: give both")
	} else if c.SSLKey != "" && c.SSLCert == "" {
		return dsnErrorf("sslcert", "sslkey is set without it: give both")
	}
	file := c.SSLRootCert != "" && c.SSLRootCert != systemRoots
	for _, h := range c.Hosts {
		if _, _, azure := azureHost(h.Name); azure {
			c.SSLMode = sslVerifyFull
		}
	}
	if c.SSLMode == sslRequire && file {
		c.SSLMode = sslVerifyCA // as in libpq
	}
	switch {
	case c.SSLMode == sslVerifyCA && !file && (c.TLSConfig == nil || c.TLSConfig.RootCAs == nil):
		return dsnErrorf("sslmode", "verify-ca needs a file in sslrootcert, since anybody can have a certificate that the system trusts: name one, or use verify-full")
	case c.SSLMode == sslRequire && c.SSLRootCert == systemRoots:
		return dsnErrorf("sslrootcert", "system needs sslmode=verify-full, since anybody can have a certificate that the system trusts")
	case c.SSLRootCert == systemRoots:
		c.SSLRootCert = ""
	}
	return nil
}

// checkCloud fills in Cloud and Scope, which follow from the first host.
func checkCloud(c *Config) error {
	cloud, cosmos, ok := azureHost(c.Hosts[0].Name)
	if c.Cloud == "" {
		if c.Cloud = cloudPublic; ok {
			c.Cloud = cloud
		}
	}
	if c.Scope == "" {
		c.Scope = databaseScope(c.Cloud, cosmos)
		return nil
	}
	if of := scopeCloud(c.Scope); of != "" && of != c.Cloud {
		return dsnErrorf("azure_scope", "it is the scope of another cloud than azure_cloud or the host's: leave it out, or set azure_cloud=%s", of)
	}
	return nil
}
