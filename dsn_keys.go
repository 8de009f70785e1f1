package azurepg

import (
	"errors"
	"strconv"
	"time"
)

// dsnKey is one key of a DSN. The table dsnKeys drives parsing, formatting, the
// environment and the search for misspellings; a test holds the doc comment of
// ParseDSN to it.
type dsnKey struct {
	name string
	// env is the variable that is read where neither DSN nor service file has the key.
	env string
	// def is the default as a DSN would say it, which FormatDSN writes.
	def  string
	kind dsnKind
	// check reports what is wrong with a value, without the value. Nil: any text.
	check func(string) error
	// get and set reach the field. Nil: the key has none of its own.
	get func(*Config) string
	set func(*Config, string)
}

type dsnKind int

const (
	kindField    dsnKind = iota // a field of Config
	kindURL                     // a part of the URL before the ?, read and written by hand
	kindSpecial                 // read by hand, and written as something else
	kindRuntime                 // a run-time parameter with a variable or a rule of its own
	kindBase                    // understood by one base driver
	kindPool                    // understood by pgxpool
	kindIdentity                // a field that only some credentials use
	kindSecret                  // the same, never written
	kindInert                   // accepted where it changes nothing
)

var dsnKeys = []dsnKey{
	{name: "host", env: "PGHOST", kind: kindURL},
	{name: "port", env: "PGPORT", def: strconv.Itoa(defaultPort), kind: kindURL},
	{name: "hostaddr", env: "PGHOSTADDR", kind: kindSpecial},
	textKey("dbname", "PGDATABASE", "", kindURL, nil, func(c *Config) *string { return &c.Database }),
	textKey("user", "PGUSER", "", kindURL, nil, func(c *Config) *string { return &c.User }),

	textKey("sslmode", "PGSSLMODE", defaultSSLMode, kindField, checkSSLMode, func(c *Config) *string { return &c.SSLMode }),
	{name: "ssl", kind: kindSpecial, check: checkSSL},
	textKey("sslrootcert", "PGSSLROOTCERT", systemRoots, kindField, nil, func(c *Config) *string { return &c.SSLRootCert }),
	textKey("sslcert", "PGSSLCERT", "", kindField, nil, func(c *Config) *string { return &c.SSLCert }),
	textKey("sslkey", "PGSSLKEY", "", kindField, nil, func(c *Config) *string { return &c.SSLKey }),
	textKey("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", defaultSSLMinVersion, kindField,
		oneOf("TLSv1.2", "TLSv1.3"), func(c *Config) *string { return &c.SSLMinVersion }),
	textKey("sslnegotiation", "PGSSLNEGOTIATION", defaultSSLNegotiation, kindField,
		oneOf("postgres", "direct"), func(c *Config) *string { return &c.SSLNegotiation }),

	timeKey("connect_timeout", "PGCONNECT_TIMEOUT", defaultConnectTimeout, connectTimeout, connectTimeoutText,
		func(c *Config) *time.Duration { return &c.ConnectTimeout }),
	textKey("target_session_attrs", "PGTARGETSESSIONATTRS", defaultTargetSession, kindField,
		oneOf("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
		func(c *Config) *string { return &c.TargetSessionAttrs }),

	runtimeKey("application_name", "PGAPPNAME"),
	{name: "fallback_application_name", kind: kindSpecial},
	runtimeKey("options", "PGOPTIONS"),
	runtimeKey("client_encoding", "PGCLIENTENCODING"),
	runtimeKey("timezone", "PGTZ"),
	runtimeKey("datestyle", "PGDATESTYLE"),
	runtimeKey("geqo", "PGGEQO"),

	baseKey("default_query_exec_mode", oneOf("cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol")),
	baseKey("statement_cache_capacity", wholeNumber(0)),
	baseKey("description_cache_capacity", wholeNumber(0)),
	baseKey("binary_parameters", oneOf("yes", "no", "true", "false", "on", "off", "1", "0")),

	poolKey("pool_max_conns", wholeNumber(1)),
	poolKey("pool_min_conns", wholeNumber(0)),
	poolKey("pool_min_idle_conns", wholeNumber(0)),
	poolKey("pool_max_conn_lifetime", goDuration(0)),
	poolKey("pool_max_conn_lifetime_jitter", goDuration(0)),
	poolKey("pool_max_conn_idle_time", goDuration(0)),
	poolKey("pool_health_check_period", goDuration(1)), // pgxpool makes a time.Ticker of it, which panics at zero
	poolKey("pool_ping_timeout", goDuration(0)),

	textKey("azure_credential", "", defaultCredential, kindField, oneOf(credentialNames()...), func(c *Config) *string { return &c.AzureCredential }),
	textKey("azure_tenant_id", "", "", kindIdentity, nil, func(c *Config) *string { return &c.TenantID }),
	textKey("azure_client_id", "", "", kindIdentity, nil, func(c *Config) *string { return &c.ClientID }),
	textKey("azure_client_secret", "", "", kindSecret, nil, func(c *Config) *string { return (*string)(&c.ClientSecret) }),
	textKey("azure_client_certificate_path", "", "", kindIdentity, nil, func(c *Config) *string { return &c.ClientCertificatePath }),
	textKey("azure_client_certificate_password", "", "", kindSecret, nil, func(c *Config) *string { return (*string)(&c.ClientCertificatePassword) }),
	textKey("azure_federated_token_file", "", "", kindIdentity, nil, func(c *Config) *string { return &c.FederatedTokenFile }),
	textKey("azure_managed_identity_resource_id", "", "", kindIdentity, nil, func(c *Config) *string { return &c.ManagedIdentityResourceID }),
	textKey("azure_managed_identity_object_id", "", "", kindIdentity, nil, func(c *Config) *string { return &c.ManagedIdentityObjectID }),
	textKey("azure_cloud", "", "", kindField, oneOf(cloudPublic, cloudUSGovernment, cloudChina), func(c *Config) *string { return &c.Cloud }),
	textKey("azure_scope", "", "", kindField, checkScope, func(c *Config) *string { return &c.Scope }),
	timeKey("azure_refresh_ahead", "", defaultRefreshAhead, positiveDuration, durationText, func(c *Config) *time.Duration { return &c.RefreshAhead }),
	timeKey("azure_token_timeout", "", defaultTokenTimeout, positiveDuration, durationText, func(c *Config) *time.Duration { return &c.TokenTimeout }),

	{name: "service", env: "PGSERVICE", kind: kindSpecial},
	{name: "servicefile", env: "PGSERVICEFILE", kind: kindSpecial},

	inertKey("gssencmode", "PGGSSENCMODE", "azurepg encrypts with TLS, never with GSSAPI", "disable", "prefer"),
	inertKey("channel_binding", "PGCHANNELBINDING", "a token is sent as a password inside TLS, which cannot be bound to the channel", "disable", "prefer"),
	inertKey("require_auth", "PGREQUIREAUTH", "a token is only ever sent as a password inside TLS", "password"),
	inertKey("sslsni", "PGSSLSNI", "azurepg always tells the server which name it wants", "1"),
	inertKey("sslcompression", "PGSSLCOMPRESSION", "TLS is not compressed", "0"),
	inertKey("sslcertmode", "PGSSLCERTMODE", "a client certificate is sent if sslcert names one and the server asks", "allow"),
	inertKey("load_balance_hosts", "PGLOADBALANCEHOSTS", "hosts are tried in their order", "disable"),
	inertKey("min_protocol_version", "PGMINPROTOCOLVERSION", "azurepg speaks protocol 3.0", "3.0"),
	inertKey("max_protocol_version", "PGMAXPROTOCOLVERSION", "azurepg speaks protocol 3.0", "3.0"),
	{name: "keepalives", kind: kindInert, check: anyInteger},
	{name: "keepalives_idle", kind: kindInert, check: anyInteger},
	{name: "keepalives_interval", kind: kindInert, check: anyInteger},
	{name: "keepalives_count", kind: kindInert, check: anyInteger},
}

// dsnKeyIndex finds the keys by name.
var dsnKeyIndex = func() map[string]*dsnKey {
	m := make(map[string]*dsnKey, len(dsnKeys))
	for i := range dsnKeys {
		m[dsnKeys[i].name] = &dsnKeys[i]
	}
	return m
}()

func textKey(name, env, def string, kind dsnKind, check func(string) error, field func(*Config) *string) dsnKey {
	return dsnKey{name: name, env: env, def: def, kind: kind, check: check,
		get: func(c *Config) string { return *field(c) },
		set: func(c *Config, v string) { *field(c) = v }}
}

func timeKey(name, env string, def time.Duration, parse func(string) (time.Duration, error), text func(time.Duration) string, field func(*Config) *time.Duration) dsnKey {
	return dsnKey{name: name, env: env, def: text(def), kind: kindField,
		check: func(v string) error { _, err := parse(v); return err },
		get: func(c *Config) string {
			if *field(c) == 0 {
				return ""
			}
			return text(*field(c))
		},
		set: func(c *Config, v string) { *field(c), _ = parse(v) }}
}

func paramKey(name, env string, kind dsnKind, check func(string) error, params func(*Config) *map[string]string) dsnKey {
	return dsnKey{name: name, env: env, kind: kind, check: check,
		get: func(c *Config) string { return (*params(c))[name] },
		set: func(c *Config, v string) { setParam(params(c), name, v) }}
}

func setParam(params *map[string]string, name, value string) {
	if *params == nil {
		*params = map[string]string{}
	}
	(*params)[name] = value
}

func runtimeKey(name, env string) dsnKey {
	return paramKey(name, env, kindRuntime, nil, func(c *Config) *map[string]string { return &c.RuntimeParams })
}

func baseKey(name string, check func(string) error) dsnKey {
	return paramKey(name, "", kindBase, check, func(c *Config) *map[string]string { return &c.BaseParams })
}

func poolKey(name string, check func(string) error) dsnKey {
	return paramKey(name, "", kindPool, check, func(c *Config) *map[string]string { return &c.PoolParams })
}

func inertKey(name, env, why string, harmless ...string) dsnKey {
	return dsnKey{name: name, env: env, kind: kindInert, check: func(v string) error {
		if oneOf(harmless...)(v) == nil {
			return nil
		}
		return errors.New(why + ": leave it out, or say " + orList(harmless))
	}}
}
