package azurepg

import (
	"errors"
	"strings"
)

// dsnLayer is the settings of one source, by the names of keys and run-time
// parameters.
type dsnLayer struct {
	values map[string]string
	label  func(*dsnKey, error) error // makes the error for a value
}

// dsnLayers are DSN, service file and environment: the first one that has a key
// decides.
type dsnLayers [3]dsnLayer

func labelDSN(k *dsnKey, err error) error     { return &DSNError{Key: k.name, Err: err} }
func labelService(k *dsnKey, err error) error { return inServiceFile(labelDSN(k, err)) }
func labelEnv(k *dsnKey, err error) error     { return &DSNError{Key: k.env, Err: err} }

func readLayers(dsn string, src source) (l dsnLayers, err error) {
	l = dsnLayers{{label: labelDSN}, {label: labelService}, {label: labelEnv}}
	if l[0].values, err = collect(lexDSN(strings.TrimSpace(dsn))); err != nil {
		return l, err
	}
	l[2].values = map[string]string{}
	for _, k := range dsnKeys {
		if k.env != "" && src.env(k.env) != "" {
			l[2].values[k.name] = src.env(k.env)
		}
	}
	for _, r := range refusedEnv {
		if src.env(r.variable) != "" {
			return l, dsnErrorf(r.variable, "%s", refusedKeys[r.key])
		}
	}
	service, _ := l.lookup("service")
	if service == "" {
		return l, nil
	}
	file, _ := l.lookup("servicefile")
	text, err := readService(service, file, src)
	if err != nil {
		return l, err
	}
	if l[1].values, err = collect(text); err != nil {
		return l, inServiceFile(err)
	}
	return l, nil
}

// collect gives the settings of a text their names.
func collect(t *dsnText) (map[string]string, error) {
	if err := t.problem(); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, p := range t.params {
		if p.value == "" && refusedKeys[p.name] != "" {
			continue
		}
		name, err := resolveName(p.name, p.where)
		if err != nil {
			return nil, err
		}
		if p.value == "" && (name == "password" || dsnKeyIndex[name] != nil) {
			continue
		}
		if old, twice := values[name]; twice && old != p.value {
			if dsnKeyIndex[name] == nil {
				return nil, dsnErrorf("DSN", "%s names a run-time parameter that already has another value", p.where)
			}
			return nil, dsnErrorf(name, "it is given twice, with different values")
		}
		values[name] = p.value
	}
	return values, nil
}

// lookup returns the value of a key and the layer it is from.
func (l *dsnLayers) lookup(name string) (string, *dsnLayer) {
	for i := range l {
		if v := l[i].values[name]; v != "" {
			return v, &l[i]
		}
	}
	return "", nil
}

// apply sets the field of k. What k may not be is said with the name under which
// the value came.
func (l *dsnLayers) apply(k *dsnKey, c *Config) error {
	for i := range l {
		v := l[i].values[k.name]
		if v == "" {
			continue
		}
		if k.name == "sslmode" || k.name == "ssl" {
			return nil // sslMode does them
		}
		if k.check != nil {
			if err := k.check(v); err != nil {
				return l[i].label(k, err)
			}
		}
		if k.kind == kindInert {
			continue // each of them must be one that needs nothing done
		}
		if k.set != nil {
			k.set(c, v)
		}
		return nil
	}
	return nil
}

// applyRuntime sets the run-time parameters that are no keys.
func (l *dsnLayers) applyRuntime(c *Config) {
	for _, layer := range []dsnLayer{l[1], l[0]} { // the DSN last, so that it wins
		for name, v := range layer.values {
			if dsnKeyIndex[name] == nil {
				setParam(&c.RuntimeParams, name, v)
			}
		}
	}
	if v, _ := l.lookup("fallback_application_name"); v != "" && c.RuntimeParams["application_name"] == "" {
		setParam(&c.RuntimeParams, "application_name", v)
	}
	if c.RuntimeParams["client_encoding"] == "auto" {
		c.RuntimeParams["client_encoding"] = "UTF8" // libpq asks the locale; Go's strings are UTF-8
	}
}

// sslModes in the order of their strength.
var sslModes = map[string]int{"": 0, sslRequire: 1, sslVerifyCA: 2, sslVerifyFull: 3}

// sslMode returns the strictest of what the layers say, where a DSN that says
// nothing says verify-full. Weaker than TLS is an error, except in a service file
// or PGSSLMODE that the DSN overrules.
func (l *dsnLayers) sslMode() (string, error) {
	mode, err := l[0].sslMode()
	if err != nil {
		return "", err
	}
	explicit := mode != ""
	if !explicit {
		mode = defaultSSLMode
	}
	for _, layer := range l[1:] {
		m, err := layer.sslMode()
		switch {
		case explicit && errors.Is(err, ErrInsecureTLS):
		case err != nil:
			return "", err
		case sslModes[m] > sslModes[mode]:
			mode = m
		}
	}
	return mode, nil
}

func (l *dsnLayer) sslMode() (string, error) {
	k := dsnKeyIndex["sslmode"]
	if ssl := l.values["ssl"]; ssl != "" {
		if err := checkSSL(ssl); errors.Is(err, ErrInsecureTLS) {
			return "", l.label(k, err)
		} else if err != nil {
			return "", l.label(dsnKeyIndex["ssl"], err)
		}
		if l.values["sslmode"] == "" {
			return sslRequire, nil
		}
	}
	if mode := l.values["sslmode"]; mode != "" {
		if err := checkSSLMode(mode); err != nil {
			return "", l.label(k, err)
		}
		return mode, nil
	}
	return "", nil
}
