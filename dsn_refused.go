package azurepg

import (
	"maps"
	"slices"
)

// refusedKeys are the keys of libpq, pgx and lib/pq that azurepg lacks, each with
// the reason. To ignore them would promise what is not done. (tcp_user_timeout is
// not among them: it is a setting of the server too, and goes there.)
// Source: PQconninfoOptions in fe-connect.c of PostgreSQL 18; pgx 5.12; lib/pq 1.12.
var refusedKeys = map[string]string{
	"passfile":                 "password files are never read: azurepg logs in with Entra tokens only",
	"sslcrl":                   "revocation lists are not checked: leave it out",
	"sslcrldir":                "revocation lists are not checked: leave it out",
	"sslpassword":              "encrypted client keys cannot be read: decrypt the file, or use Config.TLSConfig",
	"sslinline":                "certificates are given as files, or by Config.TLSConfig",
	"ssl_max_protocol_version": "TLS has no upper limit here: leave it out, or use Config.TLSConfig",
	"sslkeylogfile":            "TLS secrets are not written to files",
	"requiressl":               "TLS is always required: use sslmode",
	"requirepeer":              "it is for unix sockets, which cannot do TLS",
	"krbsrvname":               "azurepg logs in with Entra tokens, not with Kerberos",
	"krbspn":                   "azurepg logs in with Entra tokens, not with Kerberos",
	"gsslib":                   "azurepg logs in with Entra tokens, not with Kerberos",
	"gssdelegation":            "azurepg logs in with Entra tokens, not with Kerberos",
	"oauth_issuer":             "the server is sent a token as a password: use the azure_ keys",
	"oauth_client_id":          "the server is sent a token as a password: use azure_client_id",
	"oauth_client_secret":      "the server is sent a token as a password: use azure_client_secret",
	"oauth_scope":              "the server is sent a token as a password: use azure_scope",
	"scram_client_key":         "azurepg logs in with Entra tokens, not with SCRAM",
	"scram_server_key":         "azurepg logs in with Entra tokens, not with SCRAM",
	"tty":                      "libpq dropped it, and so does azurepg: leave it out",
	"authtype":                 "libpq dropped it, and so does azurepg: leave it out",

	"disable_prepared_binary_result": "it is not supported: use binary_parameters with lib/pq",
	"prefer_simple_protocol":         "use default_query_exec_mode=simple_protocol",
	"statement_cache_mode":           "use default_query_exec_mode",
}

// refusedNames are the names of refusedKeys in a fixed order.
var refusedNames = slices.Sorted(maps.Keys(refusedKeys))

// refusedEnv are the variables of libpq that demand what azurepg cannot do. Those
// for Kerberos and unix sockets demand nothing of a login by token.
var refusedEnv = []struct{ variable, key string }{
	{"PGSSLCRL", "sslcrl"},
	{"PGSSLCRLDIR", "sslcrldir"},
	{"PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"},
}

// otherWord is what another driver calls a setting: name as that driver spells it.
type otherWord struct{ name, advice string }

// otherWords are the words of Prisma, JDBC, Npgsql, SQLAlchemy, node-postgres and
// their kin, by lower case. Sent to the server they would fail with less advice.
// Sources: the connection string pages of each.
var otherWords = func() map[string]otherWord {
	m := map[string]otherWord{}
	add := func(advice string, names ...string) {
		for _, n := range names {
			m[asciiLower(n)] = otherWord{n, advice}
		}
	}
	add("azurepg calls it host", "server", "hostname", "servername", "serverName", "data source", "datasource", "address", "addr", "endpoint")
	add("azurepg calls it port", "portNumber")
	add("azurepg calls it user", "username", "user id", "userid", "uid", "usr", "login", "role_name")
	add("azurepg calls it dbname", "database", "databaseName", "initial catalog", "catalog", "db", "dbase")
	add("azurepg calls it connect_timeout", "timeout", "loginTimeout", "connection_timeout", "connectionTimeout", "connectionTimeoutMillis")
	add("azurepg calls it application_name", "app", "appname", "app_name", "program_name")
	add("azurepg calls it search_path", "currentSchema", "schema", "schemas", "searchpath", "search path")
	add("azurepg calls it client_encoding", "charset", "encoding")
	add("azurepg calls it timezone", "tz", "time_zone")
	add("azurepg calls it options", "server_settings")
	add("azurepg calls it target_session_attrs", "targetServerType")
	add("azurepg calls it sslrootcert", "sslca", "ssl_ca", "rootcert", "root certificate", "tls_ca")
	add("azurepg calls it sslcert", "ssl_cert", "ssl certificate", "sslidentity")
	add("azurepg calls it sslkey", "ssl_key", "ssl key")
	add("azurepg calls it sslmode", "sslaccept", "tls", "tlsmode", "encrypt", "trust server certificate", "trustServerCertificate", "sslfactory", "ssl_verify", "rejectUnauthorized")
	add("azurepg calls it sslnegotiation", "ssl negotiation")
	add("use default_query_exec_mode=cache_describe", "pgbouncer")
	add("use default_query_exec_mode", "prepareThreshold", "preferQueryMode", "prepared_statements", "binaryTransfer")
	add("use statement_cache_capacity", "statement_cache_size", "preparedStatementCacheQueries", "prepared_statement_cache_size")
	add("use pool_max_conns with NewPool, SetMaxOpenConns with database/sql", "connection_limit", "maxPoolSize", "max_pool_size", "maximum pool size", "poolSize", "max_conns", "max_open_conns", "maxOpenConns")
	add("use pool_min_conns with NewPool, SetMaxIdleConns with database/sql", "minPoolSize", "min_pool_size", "minimum pool size", "max_idle_conns", "maxIdleConns")
	add("use a context with a deadline", "socket_timeout", "socketTimeout", "pool_timeout", "command timeout", "commandTimeout", "command_timeout", "query_timeout", "queryTimeout", "cancelSignalTimeout", "acquire_timeout")
	add("keep-alive is always on", "tcpKeepAlive", "keepalive", "keep alive", "tcp keepalive", "tcp_keepalives")
	add("hosts are tried in their order", "hostRecheckSeconds", "loadBalanceHosts", "load balance hosts")
	add("set it with Config.ConfigurePgx or on the statements", "reWriteBatchedInserts", "defaultRowFetchSize", "stringtype")
	add("pools belong to database/sql or pgxpool", "pooling", "poolclass", "connection lifetime", "connection idle lifetime")
	add("azurepg calls it azure_tenant_id", "tenant_id", "tenantid", "tenant")
	add("azurepg calls it azure_client_id", "client_id", "clientid", "application_id")
	add("azurepg calls it azure_client_secret", "client_secret", "clientsecret")
	add("azurepg calls it azure_client_certificate_path", "client_certificate_path", "certificate_path")
	add("azurepg calls it azure_client_certificate_password", "client_certificate_password", "certificate_password")
	add("azurepg calls it azure_federated_token_file", "federated_token_file")
	add("remove it: azurepg fetches the token itself, as the azure_ keys say", "integrated security", "authentication", "trusted_connection", "sslauth", "authenticationPluginClassName", "token", "access_token", "accesstoken", "azure")
	return m
}()

// foreignSchemes are the URLs and forms that are refused by name.
var foreignSchemes = map[string]string{
	"jdbc": "JDBC", "odbc": "ODBC", "mysql": "MySQL", "mysqlx": "MySQL", "mariadb": "MariaDB",
	"sqlserver": "SQL Server", "mssql": "SQL Server", "azuresql": "SQL Server", "sqlite": "SQLite", "sqlite3": "SQLite",
	"oracle": "Oracle", "cockroach": "CockroachDB", "cockroachdb": "CockroachDB", "clickhouse": "ClickHouse",
	"mongodb": "MongoDB", "mongodb+srv": "MongoDB", "redis": "Redis", "rediss": "Redis", "amqp": "AMQP", "amqps": "AMQP",
	"http": "web", "https": "web", "file": "file", "ldap": "LDAP", "ldaps": "LDAP", "unix": "unix socket", "tcp": "TCP",
	"pgx": "pgx", "pgx4": "pgx", "pgx5": "pgx", "pq": "lib/pq", "prisma": "Prisma", "prisma+postgres": "Prisma",
	"snowflake": "Snowflake", "redshift": "Redshift", "postgis": "PostGIS", "cloudsql": "Cloud SQL", "cloudsqlpostgres": "Cloud SQL",
}

// adoOnly are names of ADO.NET and ODBC lists (name=value;name=value) that no
// text for libpq can begin with, in lower case.
var adoOnly = nameSet("data source", "initial catalog", "user id", "user name", "ssl mode", "trust server certificate",
	"integrated security", "search path", "command timeout", "application name", "maximum pool size", "minimum pool size")

// adoNames are those that could be either: only two of them with a semicolon
// between say which it is.
var adoNames = nameSet("server", "host", "hostname", "addr", "address", "port", "database", "dbname", "db", "username", "user",
	"userid", "uid", "password", "pwd", "driver", "dsn", "provider", "encrypt", "authentication", "timeout", "pooling",
	"sslmode", "ssl", "trustservercertificate", "searchpath")

func nameSet(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}
