package azurepg

import (
	"maps"
	"slices"
	"strings"
)

// Setting is one setting that a DSN leads to.
type Setting struct {
	// Key is the DSN key, the name of a run-time parameter, or that of a variable that
	// no key stands for.
	Key string
	// Value is what holds in the end, as a DSN would say it; "[redacted]" for a secret.
	Value string
	// Source is where it came from: "DSN", "service file", the name of an environment
	// variable, "host" if it follows from the first host's name, or "default".
	Source string
}

// Settings returns what ParseDSN makes of dsn, for a person to read: every setting that
// has a value, and where that came from, in the order of ParseDSN's documentation, then
// the run-time parameters by name. With them are the AZURE_* variables that the
// credential reads where the DSN has no key. Its errors are those of ParseDSN.
func Settings(dsn string) ([]Setting, error) { return settings(dsn, osSource()) }

func settings(dsn string, src source) ([]Setting, error) {
	layers, c, err := readConfig(dsn, src)
	if err != nil {
		return nil, err
	}
	var all []Setting
	for i := range dsnKeys {
		k := &dsnKeys[i]
		value := k.value(c)
		if k.name == "service" || k.name == "servicefile" {
			value, _ = layers.lookup(k.name)
		}
		s := Setting{k.name, value, layers.origin(k, value)}
		if value == "" && (k.kind == kindIdentity || k.kind == kindSecret) {
			s = variableSetting(k, c, src)
		}
		if s.Value == "" {
			continue
		}
		if k.kind == kindSecret {
			s.Value = Secret(s.Value).mask()
		}
		all = append(all, s)
	}
	all = append(all, layers.runtimeSettings()...)
	for _, name := range []string{"AZURE_AUTHORITY_HOST", "AZURE_TOKEN_CREDENTIALS"} {
		if v := src.env(name); v != "" {
			all = append(all, Setting{name, Redact(v), name})
		}
	}
	return all, nil
}

// value is what c has for k, its default filled in.
func (k *dsnKey) value(c *Config) string {
	switch k.name {
	case "host", "port":
		list := make([]string, len(c.Hosts))
		for i, h := range c.Hosts {
			if _, port, _ := strings.Cut(formatHost(Host{Name: "h", Port: h.Port}), ":"); k.name == "port" {
				list[i] = port
			} else {
				list[i] = h.Name
			}
		}
		return strings.Join(list, ",")
	case "hostaddr":
		return formatHostAddr(c.Hosts)
	case "sslrootcert", "azure_credential":
		if v := k.get(c); v != "" {
			return v
		}
		return k.def
	}
	if k.get == nil {
		return ""
	}
	return k.get(c)
}

// origin says which layer a value came from.
func (l *dsnLayers) origin(k *dsnKey, value string) string {
	switch k.name {
	case "sslmode":
		return l.modeOrigin(value)
	case "azure_cloud", "azure_scope":
		if _, layer := l.lookup(k.name); layer == nil {
			return "host"
		}
	case "application_name":
		if v, _ := l.lookup(k.name); v == "" {
			k = &dsnKey{name: "fallback_application_name"}
		}
	}
	for i := range l {
		if l[i].values[k.name] != "" {
			return layerName(i, k)
		}
	}
	return "default"
}

func layerName(i int, k *dsnKey) string { return [...]string{"DSN", "service file", k.env}[i] }

// modeOrigin is origin for sslmode, which is the strictest that anything asks for.
func (l *dsnLayers) modeOrigin(value string) string {
	for i := range l {
		if mode, _ := l[i].sslMode(); mode == value {
			return layerName(i, dsnKeyIndex["sslmode"])
		}
	}
	mode, _ := l[0].sslMode()
	switch {
	case mode == "":
		return "default"
	case value == sslVerifyCA:
		return "sslrootcert" // a file of roots makes verify-ca of require
	}
	return "host" // one of Azure's
}

// variableSetting is what the credential reads for k, which has no value. All of these
// variables are called as their keys.
func variableSetting(k *dsnKey, c *Config, src source) Setting {
	if slices.Contains(managedIdentityKeys[1:], k.name) {
		return Setting{} // there is no variable
	}
	reads := false
	switch c.AzureCredential {
	case "": // the default chain
		reads = true
	case credentialEnvironment:
		reads = k.name != "azure_federated_token_file"
	case credentialWorkload, credentialSecret, credentialCertificate:
		reads = slices.Contains(credentialsWith(k.name), c.AzureCredential)
	}
	if !reads {
		return Setting{}
	}
	variable := strings.ToUpper(k.name)
	return Setting{k.name, src.env(variable), variable}
}

// runtimeSettings are the parameters that are no keys.
func (l *dsnLayers) runtimeSettings() []Setting {
	var all []Setting
	names := map[string]bool{}
	for _, layer := range l[:2] {
		for name := range layer.values {
			names[name] = dsnKeyIndex[name] == nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !names[name] {
			continue
		}
		source := "DSN"
		value, ok := l[0].values[name]
		if !ok {
			value, source = l[1].values[name], "service file"
		}
		all = append(all, Setting{name, value, source})
	}
	return all
}
