package azurepg

import (
	"errors"
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
		return dsnErrorf("sslkey", "sslcert needs it")
	} else if c.SSLKey != "" && c.SSLCert == "" {
		return dsnErrorf("sslcert", "sslkey needs it")
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

// azureDomains are the domains under which Azure runs PostgreSQL.
// Sources: azure-cli core/cloud.py; the private DNS zones of Azure Private Link.
// The Cosmos names of the national clouds are formed by analogy: no page of
// Microsoft's was found, and all they do is demand verify-full.
var azureDomains = []struct {
	domain, cloud string
	cosmos        bool
}{
	{"postgres.database.azure.com", cloudPublic, false},
	{"postgres.cosmos.azure.com", cloudPublic, true},
	{"postgres.database.usgovcloudapi.net", cloudUSGovernment, false},
	{"postgres.cosmos.azure.us", cloudUSGovernment, true},
	{"postgres.database.chinacloudapi.cn", cloudChina, false},
	{"postgres.cosmos.azure.cn", cloudChina, true},
}

// azureHost says whose server a host name is, if Azure's.
func azureHost(name string) (cloud string, cosmos bool, ok bool) {
	name = strings.TrimSuffix(asciiLower(name), ".")
	for _, d := range azureDomains {
		if name == d.domain || strings.HasSuffix(name, "."+d.domain) {
			return d.cloud, d.cosmos, true
		}
	}
	return "", false, false
}

const cosmosScope = "https://token.postgres.cosmos.azure.com/.default"

// databaseScopes are those of Azure Database for PostgreSQL.
// Source: azure-cli core/cloud.py (ossrdbms_resource_id).
var databaseScopes = map[string]string{
	cloudPublic:       "https://ossrdbms-aad.database.windows.net/.default",
	cloudUSGovernment: "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
	cloudChina:        "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
}

// databaseScope returns the scope of the tokens for a server.
func databaseScope(cloud string, cosmos bool) string {
	if cosmos {
		return cosmosScope // no other is known for the national clouds
	}
	return databaseScopes[cloud]
}

// scopeCloud returns the cloud that a known scope belongs to alone.
func scopeCloud(scope string) string {
	for cloud, s := range databaseScopes {
		if s == scope {
			return cloud
		}
	}
	return ""
}

func knownScope(s string) bool { return s == cosmosScope || scopeCloud(s) != "" }

// checkScope is for a DSN. The two mistakes it explains are common, and get a
// token that the server refuses. Source: azure-docs#113101, azure-sdk-for-java#42632.
func checkScope(s string) error {
	trimmed := strings.TrimRight(s, "/")
	switch {
	case knownScope(s):
		return nil
	case knownScope(trimmed + "/.default"):
		return errors.New("it must end in /.default")
	case knownScope(strings.Replace(s, "//.default", "/.default", 1)):
		return errors.New("it has one / too many before .default")
	}
	return errors.New("it must be a database scope of Azure, as ParseDSN lists them; Config.Scope takes others")
}
