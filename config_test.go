package azurepg

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/jackc/pgx/v5"
)

type stubCredential struct{ azcore.TokenCredential }

func TestCheckedHoldsCodeToTheRulesOfADSN(t *testing.T) {
	hosts := []Host{{Name: "h"}}
	for name, tt := range map[string]struct {
		c    Config
		want string
	}{
		"no host":             {Config{}, "azurepg: host: no host is given: name one in the DSN or in PGHOST"},
		"unix socket":         {Config{Hosts: []Host{{Name: "/tmp"}}}, "azurepg: host: a unix socket cannot do TLS: give a host name or an IP address"},
		"empty host":          {Config{Hosts: []Host{{Name: "h"}, {}}}, "azurepg: host: one of the hosts is empty"},
		"address":             {Config{Hosts: []Host{{Name: "h", Addr: "i"}}}, "azurepg: hostaddr: it must be IP addresses; names belong into host"},
		"weak mode":           {Config{Hosts: hosts, SSLMode: "prefer"}, "azurepg: sslmode: a token is only ever sent inside TLS, to a server verified as sslmode demands: use verify-full"},
		"unknown mode":        {Config{Hosts: hosts, SSLMode: "full"}, "azurepg: sslmode: it must be require, verify-ca or verify-full"},
		"verify-ca":           {Config{Hosts: hosts, SSLMode: "verify-ca"}, "azurepg: sslmode: verify-ca needs a file in sslrootcert, since anybody can have a certificate that the system trusts: name one, or use verify-full"},
		"verify-ca, TLS":      {Config{Hosts: hosts, SSLMode: "verify-ca", TLSConfig: &tls.Config{}}, "azurepg: sslmode: verify-ca needs a file in sslrootcert, since anybody can have a certificate that the system trusts: name one, or use verify-full"},
		"TLS and a file":      {Config{Hosts: hosts, TLSConfig: &tls.Config{}, SSLCert: "/c", SSLKey: "/k"}, "azurepg: sslcert: Config.TLSConfig takes the place of the ssl files: set one or the other"},
		"certificate alone":   {Config{Hosts: hosts, SSLCert: "/c"}, "azurepg: sslkey: sslcert is set without it: give both"},
		"TLS version":         {Config{Hosts: hosts, SSLMinVersion: "TLSv1"}, "azurepg: ssl_min_protocol_version: it must be TLSv1.2 or TLSv1.3"},
		"negotiation":         {Config{Hosts: hosts, SSLNegotiation: "x"}, "azurepg: sslnegotiation: it must be postgres or direct"},
		"session":             {Config{Hosts: hosts, TargetSessionAttrs: "x"}, "azurepg: target_session_attrs: it must be any, read-write, read-only, primary, standby or prefer-standby"},
		"credential":          {Config{Hosts: hosts, AzureCredential: "cli"}, "azurepg: azure_credential: it must be default, environment, workload_identity, managed_identity, client_secret, client_certificate, azure_cli, azure_developer_cli or azure_powershell"},
		"cloud":               {Config{Hosts: hosts, Cloud: "moon"}, "azurepg: azure_cloud: it must be public, usgovernment or china"},
		"scope and cloud":     {Config{Hosts: hosts, Cloud: "china", Scope: databaseScopes["public"]}, "azurepg: azure_scope: it is the scope of another cloud than azure_cloud or the host's: leave it out, or set azure_cloud=public"},
		"refresh":             {Config{Hosts: hosts, RefreshAhead: -1}, "azurepg: azure_refresh_ahead: it must be a duration above zero: whole seconds, or with a unit such as 30s or 5m"},
		"NUL":                 {Config{Hosts: hosts, User: "a\x00b"}, "azurepg: user: it holds a NUL character"},
		"NUL in parameter":    {Config{Hosts: hosts, RuntimeParams: map[string]string{"a": "\x00"}}, "azurepg: RuntimeParams: a value holds a NUL character"},
		"upper case":          {Config{Hosts: hosts, RuntimeParams: map[string]string{"TimeZone": "UTC"}}, "azurepg: RuntimeParams: the names must be in lower case"},
		"user as parameter":   {Config{Hosts: hosts, RuntimeParams: map[string]string{"user": "x"}}, "azurepg: user: it is no run-time parameter: it has a field or map of its own in Config"},
		"database":            {Config{Hosts: hosts, RuntimeParams: map[string]string{"database": "x"}}, "azurepg: database: azurepg calls it dbname"},
		"password":            {Config{Hosts: hosts, RuntimeParams: map[string]string{"PWD": "x"}}, "azurepg: password: a password is given, but azurepg logs in with Entra tokens only: remove it"},
		"misspelt parameter":  {Config{Hosts: hosts, RuntimeParams: map[string]string{"ssl_mode": "x"}}, "azurepg: sslmode: a name in RuntimeParams looks like a misspelt sslmode: write that"},
		"base parameter":      {Config{Hosts: hosts, BaseParams: map[string]string{"x": "y"}}, "azurepg: BaseParams: one of the names is no key for it; ParseDSN lists them"},
		"base value":          {Config{Hosts: hosts, BaseParams: map[string]string{"statement_cache_capacity": ""}}, "azurepg: statement_cache_capacity: it must be a whole number from 0 to 2147483647"},
		"pool parameter":      {Config{Hosts: hosts, PoolParams: map[string]string{"binary_parameters": "1"}}, "azurepg: PoolParams: one of the names is no key for it; ParseDSN lists them"},
		"two sources":         {Config{Hosts: hosts, Credential: stubCredential{}, Tokens: &TokenCache{}}, "azurepg: azure_credential: Config.Credential and Config.Tokens are both set: set one of them"},
		"credential and name": {Config{Hosts: hosts, Credential: stubCredential{}, AzureCredential: "default"}, "azurepg: azure_credential: Config.Credential or Config.Tokens takes its place: leave one out"},
		"tokens and id":       {Config{Hosts: hosts, Tokens: &TokenCache{}, ClientID: "x"}, "azurepg: azure_client_id: Config.Credential or Config.Tokens takes its place: leave one out"},
		"unused key":          {Config{Hosts: hosts, ClientSecret: "HUNTER"}, "azurepg: azure_client_secret: azure_credential=default does not use it; it is for azure_credential=client_secret"},
		"two identities":      {Config{Hosts: hosts, AzureCredential: "managed_identity", ClientID: "x", ManagedIdentityObjectID: "y"}, "azurepg: azure_managed_identity_object_id: only one of azure_client_id, azure_managed_identity_resource_id, azure_managed_identity_object_id can name the managed identity"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.c.checked()
			if got != nil {
				t.Errorf("got a Config with the error")
			}
			wantDSNError(t, err, tt.want)
		})
	}
}

func TestCheckedFillsInDefaultsInACopy(t *testing.T) {
	c := &Config{Hosts: []Host{{Name: "[::1]"}}, RuntimeParams: map[string]string{"a": "b"}, ConnectTimeout: -5 * time.Second, Scope: "api://mine"}
	got, err := c.checked()
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig(Host{Name: "::1"})
	want.RuntimeParams, want.ConnectTimeout, want.Scope, want.AzureCredential = map[string]string{"a": "b"}, noConnectTimeout, "api://mine", "default"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if c.Hosts[0].Port != 0 || c.SSLMode != "" {
		t.Error("the original was changed")
	}
	again, err := got.checked()
	if err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("checking twice gives %+v, %v", again, err)
	}
}

func TestParsedConfigTakesACredentialAndTLSFromCode(t *testing.T) {
	for _, dsn := range []string{"postgres://h", "postgres://h/?sslrootcert=system&azure_credential=default"} {
		c, err := parseDSN(dsn, stubSource(nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		c.Credential, c.TLSConfig, c.SSLMode = stubCredential{}, &tls.Config{RootCAs: x509.NewCertPool()}, "verify-ca"
		if _, err := c.checked(); err != nil {
			t.Error(err)
		}
	}
}

func TestCloneSharesNoMap(t *testing.T) {
	c := &Config{Hosts: []Host{{Name: "a"}}, RuntimeParams: map[string]string{"a": "b"}, BaseParams: map[string]string{"a": "b"}, PoolParams: map[string]string{"a": "b"},
		TLSConfig: &tls.Config{ServerName: "a"}, Logger: slog.Default(), ConfigurePgx: func(*pgx.ConnConfig) error { return nil }}
	d := c.Clone()
	d.Hosts[0].Name, d.RuntimeParams["a"], d.BaseParams["a"], d.PoolParams["a"], d.TLSConfig.ServerName = "x", "x", "x", "x", "x"
	if c.Hosts[0].Name != "a" || c.RuntimeParams["a"] != "b" || c.BaseParams["a"] != "b" || c.PoolParams["a"] != "b" || c.TLSConfig.ServerName != "a" {
		t.Errorf("the copy changed the original: %+v", c)
	}
	if d.Logger != c.Logger || d.ConfigurePgx == nil {
		t.Error("the copy lacks what it shares")
	}
}
