package azurepg

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const passwordLine = "azurepg: password: a password is given, but azurepg logs in with Entra tokens only: remove it"

// badDSNs are refused with exactly the line want. HUNTER stands for what a line
// must never hold.
var badDSNs = []struct {
	name, dsn string
	env       map[string]string
	want      string
}{
	// Passwords.
	{"password in userinfo", "postgres://u:HUNTER@h/", nil, passwordLine},
	{"password alone in userinfo", "postgres://:HUNTER@h/", nil, passwordLine},
	{"password as a parameter", "postgres://h/?password=HUNTER", nil, passwordLine},
	{"password in capitals", "postgres://h/?PassWord=HUNTER", nil, passwordLine},
	{"encoded password key", "postgres://h/?pass%77ord=HUNTER", nil, passwordLine},
	{"pwd", "host=h pwd=HUNTER", nil, passwordLine},
	{"passwd", "host=h passwd=HUNTER", nil, passwordLine},
	{"pass", "host=h pass=HUNTER", nil, passwordLine},
	{"PGPASSWORD as a key", "host=h PGPASSWORD=HUNTER", nil, passwordLine},
	{"password before a bad port", "postgres://u:HUNTER@h:x/?sslmode=disable&nonsense", nil, passwordLine},
	{"password behind a bad parameter", "host=h nonsense sslmode=disable password=HUNTER", nil, passwordLine},
	{"password behind an open quote", "host=h password='HUNTER", nil, passwordLine},
	{"password with a bad escape", "postgres://u:HUN%TER@h/", nil, passwordLine},
	{"password as value of a bad escape", "postgres://h/?password=%zzHUNTER", nil, passwordLine},
	{"password with NUL", "postgres://u:HUN\x00TER@h/", nil, passwordLine},
	{"password behind a semicolon", "postgres://h/?sslmode=require;password=HUNTER", nil, passwordLine},
	{"password in a foreign URL", "mysql://u:HUNTER@tcp(h:3306)/d", nil, passwordLine},
	{"password in a JDBC URL", "jdbc:postgresql://h/d?user=u&password=HUNTER", nil, passwordLine},
	{"password in an SQL Server URL", "jdbc:sqlserver://h:1;user=u;password=HUNTER", nil, passwordLine},
	{"password in ADO.NET", "Server=h;Database=d;User Id=u;Password=HUNTER", nil, passwordLine},
	{"password in a quoted URL", "'postgres://u:HUNTER@h/d'", nil, passwordLine},
	{"password in an assignment", "DATABASE_URL=postgres://u:HUNTER@h/d", nil, passwordLine},
	{"password without a scheme", "//u:HUNTER@h/d", nil, passwordLine},
	{"password without scheme and slashes", "u:HUNTER@h/d", nil, passwordLine},
	{"password misspelt", "host=h pasword=HUNTER", nil, "azurepg: password: parameter 2 is probably meant as password; a password is given, but azurepg logs in with Entra tokens only: remove it"},
	{"passfile", "host=h passfile=/HUNTER", nil, "azurepg: passfile: password files are never read: azurepg logs in with Entra tokens only"},

	// Forms.
	{"foreign scheme", "mysql://u@h/d", nil, "azurepg: DSN: it is a MySQL URL; " + formHint},
	{"unknown scheme", "HUNTER://u@h/d", nil, "azurepg: DSN: its scheme is none of azurepg's; " + formHint},
	{"nearly our scheme", "postgres+HUNTER://h", nil, "azurepg: DSN: its scheme is none of azurepg's; " + formHint},
	{"web address", "https://h/d", nil, "azurepg: DSN: it is a web URL; " + formHint},
	{"JDBC", "jdbc:postgresql://h/d?user=u", nil, "azurepg: DSN: it is a JDBC URL; " + formHint},
	{"JDBC in capitals", "JDBC:postgresql:HUNTER", nil, "azurepg: DSN: it is a JDBC URL; " + formHint},
	{"ADO.NET", "Server=HUNTER;Database=HUNTER", nil, "azurepg: DSN: it is an ADO.NET or ODBC connection string; " + formHint},
	{"Npgsql", "Host=HUNTER;Username=HUNTER;SSL Mode=Require", nil, "azurepg: DSN: it is an ADO.NET or ODBC connection string; " + formHint},
	{"Npgsql with libpq's names", "host=HUNTER; port=5432; database=HUNTER", nil, "azurepg: DSN: it is an ADO.NET or ODBC connection string; " + formHint},
	{"ADO.NET with one part", "Host=HUNTER;", nil, "azurepg: DSN: it is an ADO.NET or ODBC connection string; " + formHint},
	{"data source", "Data Source=HUNTER", nil, "azurepg: DSN: it is an ADO.NET or ODBC connection string; " + formHint},
	{"ODBC", "Driver={PostgreSQL};Server=HUNTER", nil, "azurepg: DSN: it is an ADO.NET or ODBC connection string; " + formHint},
	{"byte order mark", "\ufeffpostgres://h/d", nil, "azurepg: DSN: something stands before its scheme; " + formHint},
	{"quoted", `"postgres://h/d"`, nil, "azurepg: DSN: something stands before its scheme; " + formHint},
	{"no slashes", "postgres:u@h/d", nil, "azurepg: DSN: it lacks postgres:// before the host; " + formHint},
	{"no scheme", "//u@h/d", nil, "azurepg: DSN: it lacks postgres:// before the host; " + formHint},
	{"assignment", "DATABASE_URL=postgres://u@h/d", nil, "azurepg: DSN: parameter 1 holds a whole URL: give the URL alone"},
	{"exported assignment", "export DATABASE_URL=postgres://u@h/d", nil, "azurepg: DSN: parameter 1 is not of the form key=value"},
	{"URL as a value", "host=h dbname=azurepg://i/d", nil, "azurepg: DSN: parameter 2 holds a whole URL: give the URL alone"},
	{"host name alone", "HUNTER.postgres.database.azure.com", nil, "azurepg: DSN: it lacks postgres:// before the host; " + formHint},
	{"URL without its scheme", "HUNTER@h:5432/d?sslmode=require", nil, "azurepg: DSN: it lacks postgres:// before the host; " + formHint},
	{"word without value", "host=h HUNTER", nil, "azurepg: DSN: parameter 2 is not of the form key=value"},
	{"value without word", "host=h =HUNTER", nil, "azurepg: DSN: parameter 2 is not of the form key=value"},
	{"open quote", "host=h user='HUNTER", nil, "azurepg: DSN: parameter 2 has a quote that never ends"},
	{"word without value in a URL", "postgres://h/?geqo=on&HUNTER", nil, "azurepg: DSN: parameter 2 is not of the form key=value"},
	{"value without word in a URL", "postgres://h/?=HUNTER", nil, "azurepg: DSN: parameter 1 is not of the form key=value"},
	{"impossible name", "postgres://h/?HUN%20TER=x", nil, "azurepg: DSN: parameter 1 has a name that no setting can have"},
	{"bad escape in the user", "postgres://HUNTER%@h/", nil, "azurepg: user: a % must be followed by two hexadecimal digits; write % itself as %25"},
	{"bad escape in the host", "postgres://HUNTER%2/", nil, "azurepg: host: a % must be followed by two hexadecimal digits; write % itself as %25"},
	{"bad escape in the port", "postgres://h:%HUNTER/", nil, "azurepg: port: a % must be followed by two hexadecimal digits; write % itself as %25"},
	{"bad escape in the database", "postgres://h/%xxHUNTER", nil, "azurepg: dbname: a % must be followed by two hexadecimal digits; write % itself as %25"},
	{"bad escape in a value", "postgres://h/?a.b=HUNTER%+1", nil, "azurepg: DSN: parameter 1: a % must be followed by two hexadecimal digits; write % itself as %25"},
	{"slash in the user", "postgres://HUN/TER@h/d", nil, "azurepg: DSN: an @ follows the / after the host: in a user name write / as %2F, in a database name @ as %40, and no password"},
	{"NUL", "postgres://u@h/HUNTER%00", nil, "azurepg: DSN: it holds a NUL character, which PostgreSQL cannot take"},
	{"NUL, keyword", "host=h user=HUN\x00TER", nil, "azurepg: DSN: it holds a NUL character, which PostgreSQL cannot take"},

	// Given twice.
	{"host twice", "postgres://HUNTER/?host=h", nil, "azurepg: host: it is given twice, with different values"},
	{"user twice", "postgres://HUNTER@h/?user=u", nil, "azurepg: user: it is given twice, with different values"},
	{"port twice", "postgres://h:1/?port=2", nil, "azurepg: port: it is given twice, with different values"},
	{"database twice", "postgres://h/HUNTER?dbname=d", nil, "azurepg: dbname: it is given twice, with different values"},
	{"mode twice", "host=h sslmode=require sslmode=verify-full", nil, "azurepg: sslmode: it is given twice, with different values"},
	{"parameter twice", "postgres://h/?search_path=a&Search_Path=HUNTER", nil, "azurepg: DSN: parameter 2 names a run-time parameter that already has another value"},

	// Hosts.
	{"no host", "", nil, "azurepg: host: no host is given: name one in the DSN or in PGHOST"},
	{"no host but an address", "hostaddr=127.0.0.1", nil, "azurepg: host: no host is given: name one in the DSN or in PGHOST"},
	{"unix socket", "host=/HUNTER", nil, "azurepg: host: a unix socket cannot do TLS: give a host name or an IP address"},
	{"unix socket in the authority", "postgres://%2FHUNTER/d", nil, "azurepg: host: a unix socket cannot do TLS: give a host name or an IP address"},
	{"unix socket as a parameter", "postgres:///d?host=/HUNTER", nil, "azurepg: host: a unix socket cannot do TLS: give a host name or an IP address"},
	{"unix socket in second place", "host=h,/HUNTER", nil, "azurepg: host: a unix socket cannot do TLS: give a host name or an IP address"},
	{"abstract socket", "host=@HUNTER", nil, "azurepg: host: a unix socket cannot do TLS: give a host name or an IP address"},
	{"socket on a drive", `host=C:\\HUNTER`, nil, "azurepg: host: a unix socket cannot do TLS: give a host name or an IP address"},
	{"socket in the environment", "", map[string]string{"PGHOST": "/HUNTER"}, "azurepg: PGHOST: a unix socket cannot do TLS: give a host name or an IP address"},
	{"empty host first", "host=,h", nil, "azurepg: host: one of the hosts is empty"},
	{"empty host last", "postgres://h,/", nil, "azurepg: host: one of the hosts is empty"},
	{"blank in the host", "host='h, HUNTER'", nil, "azurepg: host: it must be host names or IP addresses"},
	{"port in the host", "host=HUNTER:5432", nil, "azurepg: host: it must be host names or IP addresses; ports belong into port, and in a URL an IPv6 address into brackets"},
	{"host outside ASCII", "host=hünter", nil, "azurepg: host: a host name outside ASCII must be written in its xn-- form"},
	{"open bracket", "postgres://[::1/d", nil, "azurepg: host: it must be [IPv6 address] or [IPv6 address]:port where it begins with a bracket"},
	{"junk behind the bracket", "postgres://[::1]HUNTER/d", nil, "azurepg: host: it must be [IPv6 address] or [IPv6 address]:port where it begins with a bracket"},
	{"no address in brackets", "postgres://[HUNTER]/d", nil, "azurepg: host: it must be host names or IP addresses"},
	{"bare IPv6", "postgres://::1/d", nil, "azurepg: host: a second colon follows the first: an IPv6 address must stand in brackets"},
	{"two ports", "postgres://h:1:HUNTER/d", nil, "azurepg: host: a second colon follows the first: an IPv6 address must stand in brackets"},
	{"port in words", "postgres://h:HUNTER/d", nil, "azurepg: port: it must be a number from 1 to 65535"},
	{"port zero", "postgres://h:0/d", nil, "azurepg: port: it must be a number from 1 to 65535"},
	{"port too high", "host=h port=65536", nil, "azurepg: port: it must be a number from 1 to 65535"},
	{"too many ports", "host=h port=1,2", nil, "azurepg: port: it must have as many elements as there are hosts"},
	{"too few ports", "host=h,i,j port=1,2", nil, "azurepg: port: it must have as many elements as there are hosts"},
	{"port of the environment", "host=h", map[string]string{"PGPORT": "HUNTER"}, "azurepg: PGPORT: it must be a number from 1 to 65535"},
	{"too many ports in the environment", "host=h", map[string]string{"PGPORT": "1,2"}, "azurepg: PGPORT: it must have as many elements as there are hosts"},
	{"name to dial", "host=h hostaddr=HUNTER", nil, "azurepg: hostaddr: it must be IP addresses; names belong into host"},
	{"too few addresses", "host=h,i hostaddr=::1", nil, "azurepg: hostaddr: it must have as many elements as there are hosts"},
	{"too many addresses in the environment", "host=h", map[string]string{"PGHOSTADDR": "::1,::2"}, "azurepg: PGHOSTADDR: it must have as many elements as there are hosts"},

	// TLS. The modes have a matrix of their own.
	{"unknown mode", "host=h sslmode=HUNTER", nil, "azurepg: sslmode: it must be require, verify-ca or verify-full"},
	{"mode as asyncpg's ssl", "postgres://h/?ssl=require", nil, "azurepg: ssl: it must be true; which verification is meant says sslmode"},
	{"verify-ca without roots", "host=h sslmode=verify-ca", nil, "azurepg: sslmode: verify-ca needs a file in sslrootcert, since anybody can have a certificate that the system trusts: name one, or use verify-full"},
	{"verify-ca with the system's roots", "host=h sslmode=verify-ca sslrootcert=system", nil, "azurepg: sslmode: verify-ca needs a file in sslrootcert, since anybody can have a certificate that the system trusts: name one, or use verify-full"},
	{"require with the system's roots", "host=h sslmode=require sslrootcert=system", nil, "azurepg: sslrootcert: system needs sslmode=verify-full, since anybody can have a certificate that the system trusts"},
	{"certificate without key", "host=h sslcert=/HUNTER", nil, "azurepg: sslkey: sslcert is set without it: give both"},
	{"key without certificate", "host=h sslkey=/HUNTER", nil, "azurepg: sslcert: sslkey is set without it: give both"},
	{"old TLS", "host=h ssl_min_protocol_version=TLSv1", nil, "azurepg: ssl_min_protocol_version: it must be TLSv1.2 or TLSv1.3"},
	{"old TLS in the environment", "host=h", map[string]string{"PGSSLMINPROTOCOLVERSION": "TLSv1"}, "azurepg: PGSSLMINPROTOCOLVERSION: it must be TLSv1.2 or TLSv1.3"},
	{"negotiation", "host=h sslnegotiation=DIRECT", nil, "azurepg: sslnegotiation: it must be postgres or direct"},

	// Other values.
	{"timeout in words", "host=h connect_timeout=HUNTER", nil, "azurepg: connect_timeout: it must be a whole number of seconds; 0 means no limit"},
	{"timeout with a unit", "host=h connect_timeout=5s", nil, "azurepg: connect_timeout: it must be a whole number of seconds; 0 means no limit"},
	{"timeout that overflows", "host=h connect_timeout=9223372037", nil, "azurepg: connect_timeout: it must be a whole number of seconds; 0 means no limit"},
	{"timeout of the environment", "host=h", map[string]string{"PGCONNECT_TIMEOUT": "HUNTER"}, "azurepg: PGCONNECT_TIMEOUT: it must be a whole number of seconds; 0 means no limit"},
	{"session", "host=h target_session_attrs=HUNTER", nil, "azurepg: target_session_attrs: it must be any, read-write, read-only, primary, standby or prefer-standby"},
	{"execution mode", "host=h default_query_exec_mode=HUNTER", nil, "azurepg: default_query_exec_mode: it must be cache_statement, cache_describe, describe_exec, exec or simple_protocol"},
	{"capacity", "host=h statement_cache_capacity=-1", nil, "azurepg: statement_cache_capacity: it must be a whole number from 0 to 2147483647"},
	{"binary parameters", "host=h binary_parameters=HUNTER", nil, "azurepg: binary_parameters: it must be yes, no, true, false, on, off, 1 or 0"},
	{"pool size", "host=h pool_max_conns=0", nil, "azurepg: pool_max_conns: it must be a whole number from 1 to 2147483647"},
	{"pool lifetime", "host=h pool_max_conn_lifetime=60", nil, "azurepg: pool_max_conn_lifetime: it must be a Go duration, such as 30s or 1h"},
	{"pool check", "host=h pool_health_check_period=0s", nil, "azurepg: pool_health_check_period: it must be a Go duration above zero, such as 30s or 1h"},
	{"unknown pool key", "host=h pool_HUNTER=1", nil, "azurepg: DSN: parameter 2 begins with pool_, but is no key of pgxpool"},
	{"refresh", "host=h azure_refresh_ahead=0", nil, "azurepg: azure_refresh_ahead: it must be a duration above zero: whole seconds, or with a unit such as 30s or 5m"},
	{"refresh that overflows", "host=h azure_refresh_ahead=9223372037", nil, "azurepg: azure_refresh_ahead: it must be a duration above zero: whole seconds, or with a unit such as 30s or 5m"},
	{"token timeout", "host=h azure_token_timeout=HUNTER", nil, "azurepg: azure_token_timeout: it must be a duration above zero: whole seconds, or with a unit such as 30s or 5m"},

	// Entra.
	{"unknown credential", "host=h azure_credential=HUNTER", nil, "azurepg: azure_credential: it must be default, environment, workload_identity, managed_identity, client_secret, client_certificate, azure_cli, azure_developer_cli or azure_powershell"},
	{"secret without credential", "host=h azure_client_secret=HUNTER", nil, "azurepg: azure_client_secret: azure_credential=default does not use it; it is for azure_credential=client_secret"},
	{"client without credential", "host=h azure_client_id=HUNTER", nil, "azurepg: azure_client_id: azure_credential=default does not use it; it is for azure_credential=workload_identity, managed_identity, client_secret or client_certificate, or set AZURE_CLIENT_ID, which the default one reads"},
	{"tenant of the environment credential", "host=h azure_credential=environment azure_tenant_id=HUNTER", nil, "azurepg: azure_tenant_id: azure_credential=environment does not use it; it is for azure_credential=default, workload_identity, client_secret, client_certificate, azure_cli, azure_developer_cli or azure_powershell"},
	{"certificate password of a secret", "host=h azure_credential=client_secret azure_client_certificate_password=HUNTER", nil, "azurepg: azure_client_certificate_password: azure_credential=client_secret does not use it; it is for azure_credential=client_certificate"},
	{"two managed identities", "host=h azure_credential=managed_identity azure_client_id=HUNTER azure_managed_identity_resource_id=HUNTER", nil, "azurepg: azure_managed_identity_resource_id: only one of azure_client_id, azure_managed_identity_resource_id, azure_managed_identity_object_id can name the managed identity"},
	{"unknown cloud", "host=h azure_cloud=AzureCloud", nil, "azurepg: azure_cloud: it must be public, usgovernment or china"},
	{"unknown scope", "host=h azure_scope=https://HUNTER/.default", nil, "azurepg: azure_scope: it must be a database scope of Azure, as ParseDSN lists them; Config.Scope takes others"},
	{"scope without default", "host=h azure_scope=https://ossrdbms-aad.database.windows.net", nil, "azurepg: azure_scope: it must end in /.default"},
	{"scope with a slash", "host=h azure_scope=https://ossrdbms-aad.database.windows.net/", nil, "azurepg: azure_scope: it must end in /.default"},
	{"scope with two slashes", "host=h azure_scope=https://ossrdbms-aad.database.windows.net//.default", nil, "azurepg: azure_scope: it has one / too many before .default"},
	{"scope of another cloud", "host=h azure_cloud=china azure_scope=https://ossrdbms-aad.database.windows.net/.default", nil, "azurepg: azure_scope: it is the scope of another cloud than azure_cloud or the host's: leave it out, or set azure_cloud=public"},
	{"authority", "host=h azure_authority_host=https://HUNTER/", nil, "azurepg: azure_authority_host: an authority never comes from a DSN: use the variable AZURE_AUTHORITY_HOST or Config.AuthorityHost"},

	// What would not be done.
	{"GSSAPI", "host=h gssencmode=require", nil, "azurepg: gssencmode: azurepg encrypts with TLS, never with GSSAPI: leave it out, or say disable or prefer"},
	{"GSSAPI of the environment", "host=h gssencmode=disable", map[string]string{"PGGSSENCMODE": "require"}, "azurepg: PGGSSENCMODE: azurepg encrypts with TLS, never with GSSAPI: leave it out, or say disable or prefer"},
	{"channel binding", "host=h channel_binding=require", nil, "azurepg: channel_binding: a token is sent as a password inside TLS, which cannot be bound to the channel: leave it out, or say disable or prefer"},
	{"channel binding of the environment", "host=h", map[string]string{"PGCHANNELBINDING": "require"}, "azurepg: PGCHANNELBINDING: a token is sent as a password inside TLS, which cannot be bound to the channel: leave it out, or say disable or prefer"},
	{"other authentication", "host=h require_auth=scram-sha-256", nil, "azurepg: require_auth: a token is only ever sent as a password inside TLS: leave it out, or say password"},
	{"other authentication of the environment", "host=h", map[string]string{"PGREQUIREAUTH": "!password"}, "azurepg: PGREQUIREAUTH: a token is only ever sent as a password inside TLS: leave it out, or say password"},
	{"no SNI", "host=h sslsni=0", nil, "azurepg: sslsni: azurepg always tells the server which name it wants: leave it out, or say 1"},
	{"compression", "host=h sslcompression=1", nil, "azurepg: sslcompression: TLS is not compressed: leave it out, or say 0"},
	{"certificate mode", "host=h sslcertmode=require", nil, "azurepg: sslcertmode: a client certificate is sent if sslcert names one and the server asks: leave it out, or say allow"},
	{"load balancing", "host=h load_balance_hosts=random", nil, "azurepg: load_balance_hosts: hosts are tried in their order: leave it out, or say disable"},
	{"protocol", "host=h min_protocol_version=3.2", nil, "azurepg: min_protocol_version: azurepg speaks protocol 3.0: leave it out, or say 3.0"},
	{"keepalives", "host=h keepalives_idle=HUNTER", nil, "azurepg: keepalives_idle: it must be a whole number"},
	{"revocation list", "host=h sslcrl=/HUNTER", nil, "azurepg: sslcrl: revocation lists are not checked: leave it out"},
	{"revocation list of the environment", "host=h", map[string]string{"PGSSLCRL": "/HUNTER"}, "azurepg: PGSSLCRL: revocation lists are not checked: leave it out"},
	{"Prisma's schema", "postgres://h/?schema=HUNTER", nil, "azurepg: schema: azurepg calls it search_path"},
	{"Prisma's pool", "postgres://h/?connection_limit=5", nil, "azurepg: connection_limit: use pool_max_conns with NewPool, SetMaxOpenConns with database/sql"},
	{"Prisma's PgBouncer", "postgres://h/?pgbouncer=true", nil, "azurepg: pgbouncer: use default_query_exec_mode=cache_describe"},
	{"JDBC's schema", "postgres://h/?currentschema=HUNTER", nil, "azurepg: currentSchema: azurepg calls it search_path"},
	{"pgx's database", "host=h database=HUNTER", nil, "azurepg: database: azurepg calls it dbname"},
	{"a variable as a key", "PGHOST=HUNTER", nil, "azurepg: host: parameter 1 is the name of a variable: in a DSN write host"},
	{"two complaints, the first counts", "host=h sslmode=HUNTER sslmod=HUNTER", nil, "azurepg: sslmode: parameter 3 looks like a misspelt sslmode: write that"},
}

func TestRefusedDSNs(t *testing.T) {
	for _, tt := range badDSNs {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseDSN(tt.dsn, stubSource(tt.env, nil))
			if c != nil {
				t.Errorf("got a Config: %s", c.FormatDSN())
			}
			wantDSNError(t, err, tt.want)
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "HUNTER") {
				t.Errorf("the error holds the value: %#v", err)
			}
			if password := strings.Contains(tt.want, passwordLine[len("azurepg: password: "):]); errors.Is(err, ErrPasswordInDSN) != password {
				t.Errorf("errors.Is(err, ErrPasswordInDSN) is %v", !password)
			}
		})
	}
}

func TestEveryKeyOfLibpqIsKnown(t *testing.T) {
	// Source: PQconninfoOptions in fe-connect.c of PostgreSQL 18.
	for name := range strings.FieldsSeq(`service servicefile user password passfile channel_binding connect_timeout dbname host hostaddr port
		client_encoding options application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count
		tcp_user_timeout sslmode sslnegotiation sslcompression sslcert sslkey sslcertmode sslpassword sslrootcert sslcrl sslcrldir sslsni
		requirepeer require_auth min_protocol_version max_protocol_version ssl_min_protocol_version ssl_max_protocol_version gssencmode
		krbsrvname gsslib gssdelegation target_session_attrs load_balance_hosts scram_client_key scram_server_key oauth_issuer
		oauth_client_id oauth_client_secret oauth_scope sslkeylogfile tty authtype`) {
		_, refused := refusedKeys[name]
		if dsnKeyIndex[name] == nil && !refused && !isPasswordName(name) && name != "tcp_user_timeout" { // a setting of the server too
			t.Errorf("%s would be sent to the server", name)
		}
	}
}

func TestRefusedWordsSayWhy(t *testing.T) {
	for name, why := range refusedKeys {
		_, err := parseDSN("postgres://h/?"+name+"=HUNTER", stubSource(nil, nil))
		wantDSNError(t, err, "azurepg: "+name+": "+why)
	}
	for lower, w := range otherWords {
		_, err := parseDSN("postgres://h/?"+escape(lower, "")+"=HUNTER", stubSource(nil, nil))
		wantDSNError(t, err, "azurepg: "+w.name+": "+w.advice)
	}
}

func TestConfigPrintsNoSecret(t *testing.T) {
	for _, dsn := range []string{
		"postgres://h/?azure_credential=client_secret&azure_client_secret=HUNTER",
		"host=h azure_credential=client_certificate azure_client_certificate_password=HUNTER",
	} {
		c, err := parseDSN(dsn, stubSource(nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if out := fmt.Sprintf(format+format, c, *c); strings.Contains(out, "HUNTER") || strings.Contains(out, "48554e544552") {
				t.Errorf("%s prints %s", format, out)
			}
		}
		if out := c.FormatDSN(); strings.Contains(out, "HUNTER") {
			t.Errorf("FormatDSN writes %s", out)
		}
	}
}

func TestSecretsUnderOtherNamesDoNotGoToTheServer(t *testing.T) {
	for _, name := range []string{"client_secret", "clientSecret", "my_secret", "app.secret", "db_password", "refresh_token", "certificate_password", "token"} {
		for _, dsn := range []string{"postgres://h/d?" + name + "=HUNTER2", "host=h " + name + "=HUNTER2"} {
			c, err := parseDSN(dsn, stubSource(nil, nil))
			if err == nil || strings.Contains(err.Error(), "HUNTER2") {
				t.Errorf("%s: %v, %v; want a refusal", name, c, err)
			}
		}
		c := &Config{Hosts: []Host{{Name: "h"}}, RuntimeParams: map[string]string{name: "HUNTER2"}}
		if _, err := c.checked(); err == nil {
			t.Errorf("%s in RuntimeParams is accepted", name)
		}
	}
}

func TestConfigAsJSONHoldsNoSecretAndNoCode(t *testing.T) {
	c, err := parseDSN("host=h azure_credential=client_secret azure_client_secret=HUNTER2", stubSource(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	c.TLSConfig, c.Base = &tls.Config{}, func(*Config) (OpenFunc, error) { return nil, nil }
	for _, v := range []any{c, *c, struct{ C *Config }{c}} {
		b, err := json.Marshal(v)
		if err != nil || strings.Contains(string(b), "HUNTER2") || !strings.Contains(string(b), redacted) {
			t.Errorf("%s, %v; want JSON with the secret redacted", b, err)
		}
	}
}
