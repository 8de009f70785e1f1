package azurepg

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// stubSource has the variables env and the files, and a home in which
// .pg_service.conf may lie.
func stubSource(env, files map[string]string) source {
	return source{
		lookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		readFile: func(name string) ([]byte, error) {
			if text, ok := files[filepath.ToSlash(name)]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		homeDir: func() (string, error) { return "/home/u", nil },
	}
}

// defaultConfig is what a DSN gives that names nothing but hosts.
func defaultConfig(hosts ...Host) *Config {
	for i := range hosts {
		if hosts[i].Port == 0 {
			hosts[i].Port = 5432
		}
	}
	return &Config{
		Hosts: hosts, SSLMode: "verify-full", SSLMinVersion: "TLSv1.2", SSLNegotiation: "postgres",
		ConnectTimeout: 30 * time.Second, TargetSessionAttrs: "any", Cloud: "public",
		Scope:        "https://ossrdbms-aad.database.windows.net/.default",
		RefreshAhead: 5 * time.Minute, TokenTimeout: 30 * time.Second,
	}
}

// goodDSNs feed the tests of parsing and formatting, and the fuzzer.
var goodDSNs = []struct {
	name, dsn string
	env       map[string]string
	host      string // "h" if empty
	want      func(c *Config)
}{
	{name: "host only", dsn: "postgres://h"},
	{name: "host and slash", dsn: "postgres://h/"},
	{name: "azurepg scheme", dsn: "azurepg://h"},
	{name: "postgresql scheme", dsn: "postgresql://h"},
	{name: "scheme in capitals", dsn: "PostGres://h"},
	{name: "Celery's scheme", dsn: "db+postgresql://h"},
	{name: "SQLAlchemy's scheme", dsn: "postgresql+psycopg2://h"},
	{name: "white space around", dsn: " \n\tpostgres://h \r\n"},
	{name: "everything from the environment", dsn: "", env: map[string]string{"PGHOST": "h"}},
	{name: "everything from the environment, as a URL", dsn: "postgres://", env: map[string]string{"PGHOST": "h"}},
	{name: "port alone in the authority", dsn: "postgres://:6432/d", env: map[string]string{"PGHOST": "h"},
		want: func(c *Config) { c.Hosts[0].Port = 6432; c.Database = "d" }},
	{name: "all parts", dsn: "postgres://u@h:6432/d?application_name=a",
		want: func(c *Config) {
			c.User, c.Hosts[0].Port, c.Database = "u", 6432, "d"
			c.RuntimeParams = map[string]string{"application_name": "a"}
		}},
	{name: "all parts as parameters", dsn: "postgres:///?user=u&host=h&port=6432&dbname=d",
		want: func(c *Config) { c.User, c.Hosts[0].Port, c.Database = "u", 6432, "d" }},
	{name: "the same twice", dsn: "postgres://u@h:1/d?user=u&host=h&port=1&dbname=d&sslmode=verify-full&sslmode=verify-full",
		want: func(c *Config) { c.User, c.Hosts[0].Port, c.Database = "u", 1, "d" }},
	{name: "keyword form", dsn: "host=h user=u port=6432 dbname='my shop'",
		want: func(c *Config) { c.User, c.Hosts[0].Port, c.Database = "u", 6432, "my shop" }},
	{name: "keyword form with blanks and escapes", dsn: `host = h  user=my\ group dbname='o\'brien\\s'application_name=a\=b`,
		want: func(c *Config) {
			c.User, c.Database = "my group", `o'brien\s`
			c.RuntimeParams = map[string]string{"application_name": "a=b"}
		}},
	{name: "semicolon in options", dsn: "host=h options='-c a=b;c'",
		want: func(c *Config) { c.RuntimeParams = map[string]string{"options": "-c a=b;c"} }},
	{name: "options that name a host", dsn: "options='-c x=1;host=b' host=h",
		want: func(c *Config) { c.RuntimeParams = map[string]string{"options": "-c x=1;host=b"} }},
	{name: "empty password in userinfo", dsn: "postgres://u:@h", want: func(c *Config) { c.User = "u" }},
	{name: "empty password as key", dsn: "host=h password='' passfile='' user=u", want: func(c *Config) { c.User = "u" }},
	{name: "empty values", dsn: "postgres://h/?user=&sslmode=&connect_timeout=&application_name="},
	{name: "empty run-time parameter", dsn: "postgres://h/?search_path=",
		want: func(c *Config) { c.RuntimeParams = map[string]string{"search_path": ""} }},
	{name: "stray ampersands", dsn: "postgres://h/?&connect_timeout=7&&", want: func(c *Config) { c.ConnectTimeout = 7 * time.Second }},

	{name: "user principal name", dsn: "postgres://alice@contoso.com@h/d", want: func(c *Config) { c.User, c.Database = "alice@contoso.com", "d" }},
	{name: "user principal name, encoded", dsn: "postgres://alice%40contoso.com@h/d", want: func(c *Config) { c.User, c.Database = "alice@contoso.com", "d" }},
	{name: "user principal name, keyword", dsn: "host=h user=alice@contoso.com", want: func(c *Config) { c.User = "alice@contoso.com" }},
	{name: "user principal name, quoted", dsn: "host=h user='alice@contoso.com'", want: func(c *Config) { c.User = "alice@contoso.com" }},
	{name: "service principal", dsn: "postgres://sp_user@db@h/d", want: func(c *Config) { c.User, c.Database = "sp_user@db", "d" }},
	{name: "service principal, encoded", dsn: "postgres://sp_user%40db@h/d", want: func(c *Config) { c.User, c.Database = "sp_user@db", "d" }},
	{name: "service principal, keyword", dsn: "host=h user=sp_user@db", want: func(c *Config) { c.User = "sp_user@db" }},
	{name: "guest", dsn: "postgres://alice_fabrikam.com#EXT#@contoso.onmicrosoft.com@h/d",
		want: func(c *Config) { c.User, c.Database = "alice_fabrikam.com#EXT#@contoso.onmicrosoft.com", "d" }},
	{name: "guest, encoded", dsn: "postgres://alice_fabrikam.com%23EXT%23%40contoso.onmicrosoft.com@h/d",
		want: func(c *Config) { c.User, c.Database = "alice_fabrikam.com#EXT#@contoso.onmicrosoft.com", "d" }},
	{name: "guest, keyword", dsn: "host=h user=alice_fabrikam.com#EXT#@contoso.onmicrosoft.com",
		want: func(c *Config) { c.User = "alice_fabrikam.com#EXT#@contoso.onmicrosoft.com" }},
	{name: "group with a blank", dsn: "postgres://my group@h/d", want: func(c *Config) { c.User, c.Database = "my group", "d" }},
	{name: "group with a blank, encoded", dsn: "postgres://my%20group@h/d", want: func(c *Config) { c.User, c.Database = "my group", "d" }},
	{name: "group with a blank, keyword", dsn: "host=h user='my group'", want: func(c *Config) { c.User = "my group" }},
	{name: "apostrophe", dsn: "postgres://o'brien@x@h/d", want: func(c *Config) { c.User, c.Database = "o'brien@x", "d" }},
	{name: "apostrophe, encoded", dsn: "postgres://o%27brien%40x@h/d", want: func(c *Config) { c.User, c.Database = "o'brien@x", "d" }},
	{name: "apostrophe, keyword", dsn: "host=h user=o'brien@x", want: func(c *Config) { c.User = "o'brien@x" }},
	{name: "apostrophe, quoted", dsn: `host=h user='o\'brien@x'`, want: func(c *Config) { c.User = "o'brien@x" }},
	{name: "user as a parameter", dsn: "postgres://h/?user=alice@contoso.com", want: func(c *Config) { c.User = "alice@contoso.com" }},
	{name: "plus is no blank", dsn: "postgres://a+b@h/c+d?application_name=e+f",
		want: func(c *Config) {
			c.User, c.Database = "a+b", "c+d"
			c.RuntimeParams = map[string]string{"application_name": "e+f"}
		}},
	{name: "bytes outside of UTF-8", dsn: "postgres://%ff@h/%e4%20", want: func(c *Config) { c.User, c.Database = "\xff", "\xe4 " }},
	{name: "encoded colon in the user", dsn: "postgres://app%3Areaders@h", want: func(c *Config) { c.User = "app:readers" }},
	{name: "encoded key", dsn: "postgres://h/?azure%5Ftenant_id=t", want: func(c *Config) { c.TenantID = "t" }},
	{name: "equals sign in a value", dsn: "postgres://h/?options=-c%20a=b", want: func(c *Config) { c.RuntimeParams = map[string]string{"options": "-c a=b"} }},
	{name: "slash and number sign in the database", dsn: "postgres://h/a/b#c", want: func(c *Config) { c.Database = "a/b#c" }},
	{name: "new line in a value", dsn: "postgres://h/a%0Ab", want: func(c *Config) { c.Database = "a\nb" }},

	{name: "host list", dsn: "postgres://h:1,i:2/", want: func(c *Config) { c.Hosts = []Host{{Name: "h", Port: 1}, {Name: "i", Port: 2}} }},
	{name: "host list, one with a port", dsn: "postgres://h,i:2/", want: func(c *Config) { c.Hosts = []Host{{Name: "h", Port: 5432}, {Name: "i", Port: 2}} }},
	{name: "host list, one port for all", dsn: "host=h,i port=7", want: func(c *Config) { c.Hosts = []Host{{Name: "h", Port: 7}, {Name: "i", Port: 7}} }},
	{name: "host list, PGPORT for all", dsn: "postgres://h,i/", env: map[string]string{"PGPORT": "7"},
		want: func(c *Config) { c.Hosts = []Host{{Name: "h", Port: 7}, {Name: "i", Port: 7}} }},
	{name: "ports of the environment", dsn: "host=h,i", env: map[string]string{"PGPORT": "7,8"},
		want: func(c *Config) { c.Hosts = []Host{{Name: "h", Port: 7}, {Name: "i", Port: 8}} }},
	{name: "IPv4", dsn: "postgres://127.0.0.1:1/", want: func(c *Config) { c.Hosts[0] = Host{Name: "127.0.0.1", Port: 1} }},
	{name: "IPv6", dsn: "postgres://[::1]:1/", want: func(c *Config) { c.Hosts[0] = Host{Name: "::1", Port: 1} }},
	{name: "IPv6 without port", dsn: "postgres://[::1],h/", want: func(c *Config) { c.Hosts = []Host{{Name: "::1", Port: 5432}, {Name: "h", Port: 5432}} }},
	{name: "IPv6 with zone", dsn: "postgres://[fe80::1%25eth0]:1/", want: func(c *Config) { c.Hosts[0] = Host{Name: "fe80::1%eth0", Port: 1} }},
	{name: "IPv6, keyword", dsn: "host=::1,[::2]", want: func(c *Config) { c.Hosts = []Host{{Name: "::1", Port: 5432}, {Name: "::2", Port: 5432}} }},
	{name: "address to dial", dsn: "host=h hostaddr=10.0.0.1", want: func(c *Config) { c.Hosts[0].Addr = "10.0.0.1" }},
	{name: "addresses to dial", dsn: "host=h,i hostaddr=10.0.0.1,::1",
		want: func(c *Config) { c.Hosts = []Host{{"h", 5432, "10.0.0.1"}, {"i", 5432, "::1"}} }},
	{name: "address for one of two", dsn: "host=h,i hostaddr=,10.0.0.1",
		want: func(c *Config) { c.Hosts = []Host{{"h", 5432, ""}, {"i", 5432, "10.0.0.1"}} }},
	{name: "address from the environment", dsn: "host=h", env: map[string]string{"PGHOSTADDR": "10.0.0.1"}, want: func(c *Config) { c.Hosts[0].Addr = "10.0.0.1" }},

	{name: "TLS keys", dsn: "postgres://h/?sslmode=verify-ca&sslrootcert=/r.pem&sslcert=/c.pem&sslkey=/k.pem&ssl_min_protocol_version=TLSv1.3&sslnegotiation=direct",
		want: func(c *Config) {
			c.SSLMode, c.SSLRootCert, c.SSLCert, c.SSLKey = "verify-ca", "/r.pem", "/c.pem", "/k.pem"
			c.SSLMinVersion, c.SSLNegotiation = "TLSv1.3", "direct"
		}},
	{name: "TLS keys of the environment", dsn: "postgres://h/", env: map[string]string{"PGSSLROOTCERT": "/r.pem", "PGSSLCERT": "/c.pem", "PGSSLKEY": "/k.pem",
		"PGSSLMINPROTOCOLVERSION": "TLSv1.3", "PGSSLNEGOTIATION": "direct"},
		want: func(c *Config) {
			c.SSLRootCert, c.SSLCert, c.SSLKey = "/r.pem", "/c.pem", "/k.pem"
			c.SSLMinVersion, c.SSLNegotiation = "TLSv1.3", "direct"
		}},
	{name: "the DSN's system roots win", dsn: "postgres://h/?sslrootcert=system", env: map[string]string{"PGSSLROOTCERT": "/r.pem"}},
	{name: "require", dsn: "postgres://h/?sslmode=require", want: func(c *Config) { c.SSLMode = "require" }},
	{name: "ssl=true", dsn: "postgres://h/?ssl=true", want: func(c *Config) { c.SSLMode = "require" }},
	{name: "ssl=true beside sslmode", dsn: "postgres://h/?ssl=true&sslmode=verify-full"},
	{name: "no connect timeout", dsn: "postgres://h/?connect_timeout=0", want: func(c *Config) { c.ConnectTimeout = -1 }},
	{name: "negative connect timeout", dsn: "postgres://h/?connect_timeout=-3", want: func(c *Config) { c.ConnectTimeout = -1 }},
	{name: "connect timeout with blanks", dsn: "host=h connect_timeout=' 10 '", want: func(c *Config) { c.ConnectTimeout = 10 * time.Second }},
	{name: "target session", dsn: "postgres://h/?target_session_attrs=read-write", want: func(c *Config) { c.TargetSessionAttrs = "read-write" }},
	{name: "target session of the environment", dsn: "postgres://h/", env: map[string]string{"PGTARGETSESSIONATTRS": "standby"},
		want: func(c *Config) { c.TargetSessionAttrs = "standby" }},

	{name: "run-time parameters in lower case", dsn: "postgres://h/?Search_Path=a,b&TimeZone=UTC&my.Setting=1&APPLICATION_NAME=x",
		want: func(c *Config) {
			c.RuntimeParams = map[string]string{"search_path": "a,b", "timezone": "UTC", "my.setting": "1", "application_name": "x"}
		}},
	{name: "run-time parameters of the environment", dsn: "postgres://h/?geqo=off", env: map[string]string{"PGAPPNAME": "a", "PGOPTIONS": "-c b=c",
		"PGCLIENTENCODING": "LATIN1", "PGTZ": "UTC", "PGDATESTYLE": "ISO", "PGGEQO": "on"},
		want: func(c *Config) {
			c.RuntimeParams = map[string]string{"application_name": "a", "options": "-c b=c", "client_encoding": "LATIN1",
				"timezone": "UTC", "datestyle": "ISO", "geqo": "off"}
		}},
	{name: "automatic encoding", dsn: "postgres://h/?client_encoding=auto", want: func(c *Config) { c.RuntimeParams = map[string]string{"client_encoding": "UTF8"} }},
	{name: "fallback application name", dsn: "postgres://h/?fallback_application_name=f", want: func(c *Config) { c.RuntimeParams = map[string]string{"application_name": "f"} }},
	{name: "fallback behind the environment", dsn: "postgres://h/?fallback_application_name=f", env: map[string]string{"PGAPPNAME": "a"},
		want: func(c *Config) { c.RuntimeParams = map[string]string{"application_name": "a"} }},
	{name: "keys of the bases", dsn: "postgres://h/?default_query_exec_mode=exec&statement_cache_capacity=0&description_cache_capacity=9&binary_parameters=yes",
		want: func(c *Config) {
			c.BaseParams = map[string]string{"default_query_exec_mode": "exec", "statement_cache_capacity": "0", "description_cache_capacity": "9", "binary_parameters": "yes"}
		}},
	{name: "keys of the pool", dsn: "postgres://h/?pool_max_conns=5&pool_min_conns=0&pool_min_idle_conns=1&pool_max_conn_lifetime=1h&pool_max_conn_idle_time=30m" +
		"&pool_health_check_period=1m&pool_max_conn_lifetime_jitter=0&pool_ping_timeout=5s",
		want: func(c *Config) {
			c.PoolParams = map[string]string{"pool_max_conns": "5", "pool_min_conns": "0", "pool_min_idle_conns": "1", "pool_max_conn_lifetime": "1h",
				"pool_max_conn_idle_time": "30m", "pool_health_check_period": "1m", "pool_max_conn_lifetime_jitter": "0", "pool_ping_timeout": "5s"}
		}},
	{name: "accepted without effect", dsn: "postgres://h/?gssencmode=prefer&channel_binding=disable&require_auth=password&sslsni=1&sslcompression=0&sslcertmode=allow" +
		"&load_balance_hosts=disable&min_protocol_version=3.0&max_protocol_version=3.0&keepalives=1&keepalives_idle=60&keepalives_interval=5&keepalives_count=3"},
	{name: "accepted without effect, environment", dsn: "postgres://h/", env: map[string]string{"PGGSSENCMODE": "disable", "PGCHANNELBINDING": "prefer", "PGREQUIREAUTH": "password"}},
	{name: "passwords of the environment", dsn: "postgres://h/", env: map[string]string{"PGPASSWORD": "HUNTER", "PGPASSFILE": "/HUNTER", "PGREQUIRESSL": "1", "PGKRBSRVNAME": "postgres"}},
	{name: "credentials of the environment", dsn: "postgres://h/", env: map[string]string{"AZURE_CLIENT_ID": "x", "AZURE_CLIENT_SECRET": "HUNTER"}},

	{name: "Azure host", dsn: "postgres://x.postgres.database.azure.com/?sslmode=require", host: "x.postgres.database.azure.com"},
	{name: "US Government host", dsn: "postgres://X.Postgres.Database.USGovCloudAPI.net./", host: "X.Postgres.Database.USGovCloudAPI.net.",
		want: func(c *Config) {
			c.Cloud, c.Scope = "usgovernment", "https://ossrdbms-aad.database.usgovcloudapi.net/.default"
		}},
	{name: "China host", dsn: "postgres://x.postgres.database.chinacloudapi.cn/", host: "x.postgres.database.chinacloudapi.cn",
		want: func(c *Config) {
			c.Cloud, c.Scope = "china", "https://ossrdbms-aad.database.chinacloudapi.cn/.default"
		}},
	{name: "Cosmos DB host", dsn: "postgres://c-x.1.postgres.cosmos.azure.com/", host: "c-x.1.postgres.cosmos.azure.com",
		want: func(c *Config) { c.Scope = "https://token.postgres.cosmos.azure.com/.default" }},
	{name: "cloud by key", dsn: "postgres://h/?azure_cloud=china", want: func(c *Config) {
		c.Cloud, c.Scope = "china", "https://ossrdbms-aad.database.chinacloudapi.cn/.default"
	}},
	{name: "scope by key", dsn: "postgres://h/?azure_scope=https://token.postgres.cosmos.azure.com/.default",
		want: func(c *Config) { c.Scope = "https://token.postgres.cosmos.azure.com/.default" }},
	{name: "default credential", dsn: "postgres://h/?azure_credential=default&azure_tenant_id=t", want: func(c *Config) { c.TenantID = "t" }},
	{name: "environment credential", dsn: "postgres://h/?azure_credential=environment", want: func(c *Config) { c.AzureCredential = "environment" }},
	{name: "workload identity", dsn: "postgres://h/?azure_credential=workload_identity&azure_tenant_id=t&azure_client_id=c&azure_federated_token_file=/f",
		want: func(c *Config) {
			c.AzureCredential, c.TenantID, c.ClientID, c.FederatedTokenFile = "workload_identity", "t", "c", "/f"
		}},
	{name: "managed identity by client", dsn: "postgres://h/?azure_credential=managed_identity&azure_client_id=c",
		want: func(c *Config) { c.AzureCredential, c.ClientID = "managed_identity", "c" }},
	{name: "managed identity by resource", dsn: "postgres://h/?azure_credential=managed_identity&azure_managed_identity_resource_id=/subscriptions/1",
		want: func(c *Config) {
			c.AzureCredential, c.ManagedIdentityResourceID = "managed_identity", "/subscriptions/1"
		}},
	{name: "managed identity by object", dsn: "postgres://h/?azure_credential=managed_identity&azure_managed_identity_object_id=o",
		want: func(c *Config) { c.AzureCredential, c.ManagedIdentityObjectID = "managed_identity", "o" }},
	{name: "client secret without the secret", dsn: "postgres://h/?azure_credential=client_secret&azure_tenant_id=t&azure_client_id=c",
		want: func(c *Config) { c.AzureCredential, c.TenantID, c.ClientID = "client_secret", "t", "c" }},
	{name: "client certificate", dsn: "postgres://h/?azure_credential=client_certificate&azure_tenant_id=t&azure_client_id=c&azure_client_certificate_path=/p",
		want: func(c *Config) {
			c.AzureCredential, c.TenantID, c.ClientID, c.ClientCertificatePath = "client_certificate", "t", "c", "/p"
		}},
	{name: "tool of a developer", dsn: "postgres://h/?azure_credential=azure_cli&azure_tenant_id=t",
		want: func(c *Config) { c.AzureCredential, c.TenantID = "azure_cli", "t" }},
	{name: "refresh and timeout", dsn: "postgres://h/?azure_refresh_ahead=90&azure_token_timeout=1h30m",
		want: func(c *Config) { c.RefreshAhead, c.TokenTimeout = 90*time.Second, 90*time.Minute }},
}

func TestParseDSN(t *testing.T) {
	for _, tt := range goodDSNs {
		t.Run(tt.name, func(t *testing.T) {
			want := defaultConfig(Host{Name: "h"})
			if tt.host != "" {
				want.Hosts[0].Name = tt.host
			}
			if tt.want != nil {
				tt.want(want)
			}
			got, err := parseDSN(tt.dsn, stubSource(tt.env, nil))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// wantDSNError checks that err is a *DSNError with exactly this one line.
func wantDSNError(t *testing.T, err error, want string) {
	t.Helper()
	var d *DSNError
	if !errors.As(err, &d) {
		t.Fatalf("got %v; want %s", err, want)
	}
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}
