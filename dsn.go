package azurepg

import "time"

// Defaults of the DSN keys. ParseDSN documents each; a test holds the two together.
const (
	defaultPort               = 5432
	defaultSSLMode            = sslVerifyFull
	defaultSSLMinVersion      = "TLSv1.2"
	defaultSSLNegotiation     = "postgres"
	defaultConnectTimeout     = 30 * time.Second
	defaultTargetSession      = "any"
	defaultCredential         = credentialDefault
	defaultRefreshAhead       = 5 * time.Minute
	defaultTokenTimeout       = 30 * time.Second
	noConnectTimeout          = -1 * time.Nanosecond
	systemRoots               = "system"
	sslRequire                = "require"
	sslVerifyCA               = "verify-ca"
	sslVerifyFull             = "verify-full"
	cloudPublic               = "public"
	cloudUSGovernment         = "usgovernment"
	cloudChina                = "china"
	credentialDefault         = "default"
	credentialEnvironment     = "environment"
	credentialWorkload        = "workload_identity"
	credentialManaged         = "managed_identity"
	credentialSecret          = "client_secret"
	credentialCertificate     = "client_certificate"
	credentialAzureCLI        = "azure_cli"
	credentialAzureDeveloper  = "azure_developer_cli"
	credentialAzurePowerShell = "azure_powershell"
)

// ParseDSN reads a DSN. It dials nothing and fetches no token; the only files it
// reads are service files. Its errors are *DSNError, which name the key that is
// at fault and never show a value.
//
// # Forms
//
// A DSN is a URL, with the scheme azurepg, postgres or postgresql (also
// db+postgresql and postgresql+driver, which other tools write):
//
//	postgres://user@host:port/dbname?key=value&key=value
//	postgres://user@host1:5432,host2:5433/dbname
//
// or libpq's list of keys and values, quoted and escaped as there:
//
//	host=mydb.postgres.database.azure.com user=alice@contoso.com dbname='my shop'
//
// or empty, which takes everything from the environment. White space around it is
// ignored. In a URL %XX stands for a byte; + and # are ordinary. The host ends at
// the first / or ?, and the user's name at the last @ before it: the names of Entra
// principals, such as alice@contoso.com, work as they are, but / and ? in a name
// must be written %2F and %3F, and a colon %3A. IPv6 addresses stand in brackets.
// URLs of other schemes, jdbc: and ADO.NET strings are refused.
//
// # Order
//
// A setting comes from the DSN, else from the service file, else from the
// environment variable named in brackets, else it has its default. A key of these
// lists with an empty value counts as absent. A key given twice with two values is
// an error, also if one of them stands before the ? of the URL. The azure_ keys come
// only from the DSN and the service file; where they are absent, the credential
// reads the AZURE_ variables of azidentity.
//
// # Server
//
//   - host: [PGHOST] name or IP address of the server, or several of them, separated
//     by commas and tried in order. At least one is needed. Unix sockets are refused:
//     there is no TLS over them.
//   - port: [PGPORT] TCP port, or one for each host. Default: 5432.
//   - hostaddr: [PGHOSTADDR] IP address to dial in place of the host's name, which
//     stays the name that is verified, or one for each host: for tunnels. Default: none.
//   - dbname: [PGDATABASE] the database. Default: the server takes the user's name.
//   - user: [PGUSER] the PostgreSQL role of the Entra principal. Default: from the
//     claims of the token.
//   - connect_timeout: [PGCONNECT_TIMEOUT] limit of one attempt at one host, in whole
//     seconds; 0 means none. Default: 30.
//   - target_session_attrs: [PGTARGETSESSIONATTRS] any, read-write, read-only,
//     primary, standby or prefer-standby: which of several hosts will do. With read-write
//     or primary a connection that answers a write with SQLSTATE 25006 leaves the pool,
//     so that one to a server that was demoted is replaced. Default: any.
//
// # TLS
//
// A token is sent over TLS only. Whatever sslmode says, servers under the domains of
// Azure (postgres.database.azure.com, postgres.cosmos.azure.com and those of the
// national clouds) are verified in full, and so are all hosts of a list that has one
// of them. For others, an sslmode in the DSN decides; the service file and PGSSLMODE
// can make it stricter, but not weaker.
//
//   - sslmode: [PGSSLMODE] verify-full checks the certificate and the name in it;
//     verify-ca checks the certificate, and needs a file in sslrootcert; require checks
//     nothing, but becomes verify-ca where sslrootcert is a file. disable, allow and
//     prefer are ErrInsecureTLS, unless they come from the service file or PGSSLMODE
//     and the DSN has an sslmode of its own. Default: verify-full.
//   - ssl: true means sslmode=require where there is no sslmode; false is refused like
//     sslmode=disable. Default: none.
//   - sslrootcert: [PGSSLROOTCERT] file of the PEM certificates to trust, or system for
//     those of the operating system, which only verify-full accepts. Default: system.
//   - sslcert: [PGSSLCERT] file of a client certificate; needs sslkey. Default: none.
//   - sslkey: [PGSSLKEY] file of its private key; needs sslcert. Others may not be able
//     to read it, as in libpq: mode 0600 or less, 0640 if root owns it. The three files
//     may be replaced at any time, see package tlsfiles. Default: none.
//   - ssl_min_protocol_version: [PGSSLMINPROTOCOLVERSION] TLSv1.2 or TLSv1.3.
//     Default: TLSv1.2.
//   - sslnegotiation: [PGSSLNEGOTIATION] postgres asks the server for TLS first; direct
//     begins with TLS, which servers before PostgreSQL 17 do not understand.
//     Default: postgres.
//
// # Run-time parameters
//
// Any name that is not listed here goes to the server as a run-time parameter, in
// lower case, so search_path=app and statement_timeout=5000 work. (That includes
// tcp_user_timeout, which libpq applies to its own end of the connection.)
//
//   - application_name: [PGAPPNAME] shown in pg_stat_activity. Default: none.
//   - fallback_application_name: used if there is no application_name. Default: none.
//   - options: [PGOPTIONS] command-line options for the server. Default: none.
//   - client_encoding: [PGCLIENTENCODING] auto means UTF8. Default: the base driver's.
//   - timezone: [PGTZ] time zone of the session. Default: the server's.
//   - datestyle: [PGDATESTYLE] format of dates. Default: the server's.
//   - geqo: [PGGEQO] genetic query optimizer. Default: the server's.
//
// # Base driver and pool
//
// The first three are for pgx, binary_parameters is for lib/pq; the other base
// refuses them. The pool keys are for PoolConfig and NewPool; database/sql has
// SetMaxOpenConns and its kin.
//
//   - default_query_exec_mode: cache_statement, cache_describe, describe_exec, exec or
//     simple_protocol. Default: pgx's.
//   - statement_cache_capacity: number of prepared statements to keep. Default: pgx's.
//   - description_cache_capacity: number of descriptions to keep. Default: pgx's.
//   - binary_parameters: yes or no: send parameters in binary form. Default: no.
//   - pool_max_conns: largest number of connections, from 1. Default: pgxpool's.
//   - pool_min_conns: number of connections to keep. Default: pgxpool's.
//   - pool_min_idle_conns: number of idle connections to keep. Default: pgxpool's.
//   - pool_max_conn_lifetime: Go duration such as 1h. Default: pgxpool's.
//   - pool_max_conn_lifetime_jitter: Go duration. Default: pgxpool's.
//   - pool_max_conn_idle_time: Go duration. Default: pgxpool's.
//   - pool_health_check_period: Go duration. Default: pgxpool's.
//   - pool_ping_timeout: Go duration. Default: pgxpool's.
//
// # Entra
//
// A key that the chosen credential does not use is an error.
//
//   - azure_credential: default (azidentity's DefaultAzureCredential), environment,
//     workload_identity, managed_identity, client_secret, client_certificate, azure_cli,
//     azure_developer_cli or azure_powershell. Default: default.
//   - azure_tenant_id: tenant, for all but environment and managed_identity.
//     Default: AZURE_TENANT_ID.
//   - azure_client_id: application or user-assigned identity, for workload_identity,
//     managed_identity, client_secret and client_certificate. Default: AZURE_CLIENT_ID,
//     but for managed_identity the system-assigned identity.
//   - azure_client_secret: for client_secret. Never written by FormatDSN.
//     Default: AZURE_CLIENT_SECRET.
//   - azure_client_certificate_path: file of certificate and private key, in PEM or
//     PKCS#12, for client_certificate. Default: AZURE_CLIENT_CERTIFICATE_PATH.
//   - azure_client_certificate_password: password of that file. Never written by
//     FormatDSN. Default: AZURE_CLIENT_CERTIFICATE_PASSWORD.
//   - azure_federated_token_file: for workload_identity.
//     Default: AZURE_FEDERATED_TOKEN_FILE.
//   - azure_managed_identity_resource_id: names a user-assigned managed_identity in
//     place of azure_client_id. Default: none.
//   - azure_managed_identity_object_id: likewise. Default: none.
//   - azure_cloud: public, usgovernment or china: whose authority and scope are asked.
//     Default: from the first host's name, else public.
//   - azure_scope: one of https://ossrdbms-aad.database.windows.net/.default,
//     https://ossrdbms-aad.database.usgovcloudapi.net/.default,
//     https://ossrdbms-aad.database.chinacloudapi.cn/.default and
//     https://token.postgres.cosmos.azure.com/.default. Default: by azure_cloud and
//     the first host's name.
//   - azure_refresh_ahead: a token this near its end is replaced in the background; Go
//     duration or whole seconds. Default: 5m.
//   - azure_token_timeout: limit of one token fetch; Go duration or whole seconds.
//     Default: 30s.
//
// # Service file
//
//   - service: [PGSERVICE] the section of the service file to read. Default: none.
//   - servicefile: [PGSERVICEFILE] the file. Default: ~/.pg_service.conf, and if the
//     service is not there, pg_service.conf in the directory PGSYSCONFDIR.
//
// # Accepted without effect
//
// These may say what azurepg does anyway. Any other value is an error, in the
// service file and the environment too, even where the DSN says otherwise: they
// demand what would not be done.
//
//   - gssencmode: [PGGSSENCMODE] disable or prefer.
//   - channel_binding: [PGCHANNELBINDING] disable or prefer.
//   - require_auth: [PGREQUIREAUTH] password.
//   - sslsni: [PGSSLSNI] 1.
//   - sslcompression: [PGSSLCOMPRESSION] 0.
//   - sslcertmode: [PGSSLCERTMODE] allow.
//   - load_balance_hosts: [PGLOADBALANCEHOSTS] disable.
//   - min_protocol_version: [PGMINPROTOCOLVERSION] 3.0.
//   - max_protocol_version: [PGMAXPROTOCOLVERSION] 3.0.
//   - keepalives, keepalives_idle, keepalives_interval, keepalives_count: whole numbers.
//
// # Refused
//
// A password is ErrPasswordInDSN, in the DSN and in the service file, under whatever
// name; an empty one is accepted. PGPASSWORD, PGPASSFILE and .pgpass are never read,
// and passfile is an error. So are libpq's other keys, whose effect would be missing
// (sslcrl, requirepeer, krbsrvname and so on), the words of other drivers (schema,
// connection_limit, currentSchema and so on), unknown names that begin with azure
// or pool_, and a name that differs from a key in case only or by one letter: sent to
// the server, a misspelt sslmode would protect nothing. An authority or an unknown
// scope never comes from a DSN, since who writes a DSN must not be able to send a
// client secret elsewhere.
func ParseDSN(dsn string) (*Config, error) { return parseDSN(dsn, osSource()) }

func parseDSN(dsn string, src source) (*Config, error) {
	_, c, err := readConfig(dsn, src)
	return c, err
}

// readConfig also returns the layers that the Config was made of.
func readConfig(dsn string, src source) (layers dsnLayers, c *Config, err error) {
	if layers, err = readLayers(dsn, src); err != nil {
		return layers, nil, err
	}
	c = &Config{}
	for i := range dsnKeys {
		if err := layers.apply(&dsnKeys[i], c); err != nil {
			return layers, nil, err
		}
	}
	layers.applyRuntime(c)
	if c.SSLMode, err = layers.sslMode(); err != nil {
		return layers, nil, err
	}
	if c.Hosts, err = layers.hosts(); err != nil {
		return layers, nil, err
	}
	if c, err = c.checked(); err != nil {
		return layers, nil, err
	}
	if c.AzureCredential == defaultCredential {
		c.AzureCredential = "" // so that code may still set Credential or Tokens
	}
	return layers, c, nil
}
