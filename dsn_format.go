package azurepg

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// FormatDSN writes c as a URL that ParseDSN reads: every setting explicitly,
// defaults too, but for secrets and what only code can set. Keys stand in the
// order of the documentation, then the parameters by name.
//
// For a Config from ParseDSN, parsing the result in the same environment and
// formatting it again gives the same text. A Config that NewConnector would refuse
// is written as far as it goes.
func (c *Config) FormatDSN() string {
	d, err := c.checked()
	if err != nil {
		d = c
	}
	var b strings.Builder
	b.WriteString("postgres://")
	if d.User != "" {
		b.WriteString(escape(d.User, "") + "@")
	}
	for i, h := range d.Hosts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(formatHost(h))
	}
	b.WriteString("/" + escape(d.Database, ""))
	separator := byte('?')
	for _, p := range d.formatParams() {
		b.WriteByte(separator)
		b.WriteString(escape(p.name, "") + "=" + escape(p.value, "/:@,"))
		separator = '&'
	}
	return b.String()
}

// Format writes c as FormatDSN does, for every verb: without secrets and what code
// has set. For a verb that does not fit, such as %s, fmt would print the fields of
// a *Config inside another struct without asking the type of each.
func (c Config) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "azurepg.Config("+c.FormatDSN()+")")
}

func formatHost(h Host) string {
	name := escape(h.Name, "")
	if strings.Contains(h.Name, ":") {
		name = "[" + escape(h.Name, ":") + "]"
	}
	if h.Port == 0 {
		h.Port = defaultPort
	}
	return name + ":" + strconv.Itoa(int(h.Port))
}

func (c *Config) formatParams() []dsnParam {
	var params []dsnParam
	if addrs := formatHostAddr(c.Hosts); addrs != "" {
		params = append(params, dsnParam{name: "hostaddr", value: addrs})
	}
	given := c.Credential != nil || c.Tokens != nil
	for _, k := range dsnKeys {
		if k.get == nil || k.kind != kindField && k.kind != kindIdentity {
			continue
		}
		v := k.get(c)
		switch k.name {
		case "sslrootcert": // written only where it is a file, or is looked at
			if v == "" && c.SSLMode == sslVerifyFull && c.TLSConfig == nil {
				v = systemRoots
			}
		case "azure_credential":
			if v == "" && !given {
				v = k.def
			}
		case "azure_scope":
			if !knownScope(v) {
				v = ""
			}
		default:
			if v == "" {
				v = k.def
			}
		}
		if v != "" {
			params = append(params, dsnParam{name: k.name, value: v})
		}
	}
	for _, m := range []map[string]string{c.RuntimeParams, c.BaseParams, c.PoolParams} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if resolved, err := resolveName(name, ""); err != nil || resolved == "password" {
				continue // of a Config that is refused: it could be a secret
			}
			params = append(params, dsnParam{name: name, value: m[name]})
		}
	}
	return params
}

// formatHostAddr writes the list hostaddr, or nothing if no host has an address.
func formatHostAddr(hosts []Host) string {
	addrs := make([]string, len(hosts))
	for i, h := range hosts {
		addrs[i] = h.Addr
	}
	list := strings.Join(addrs, ",")
	if strings.Trim(list, ",") == "" {
		return ""
	}
	return list
}
