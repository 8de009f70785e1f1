package azurepg_test

import (
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// setenv sets KEY=value strings for the duration of a test.
func setenv(t *testing.T, settings ...string) {
	t.Helper()
	for _, kv := range settings {
		key, value, _ := strings.Cut(kv, "=")
		t.Setenv(key, value)
	}
}

// noAzure clears what a developer's machine may say about Azure.
func noAzure(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(key, "AZURE_") || strings.HasPrefix(key, "IDENTITY_") || strings.HasPrefix(key, "MSI_") || strings.HasPrefix(key, "PG") {
			if strings.HasPrefix(key, "AZUREPG_") {
				continue
			}
			t.Setenv(key, "")
			if err := os.Unsetenv(key); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestEveryCredentialLogsIn(t *testing.T) {
	s := sharedAzure(t)
	app := s.AddServicePrincipal("every-app")
	env := []string{"AZURE_TENANT_ID=" + app.TenantID, "AZURE_CLIENT_ID=" + app.ClientID}
	ids := []string{"azure_tenant_id", app.TenantID, "azure_client_id", app.ClientID}
	key := func(credential string, more ...string) []string {
		return append([]string{"azure_credential", credential}, more...)
	}
	for _, row := range []struct {
		name string
		user string
		keys []string
		env  []string
	}{
		{"client secret in the DSN", "every-app", append(key("client_secret", "azure_client_secret", app.Secret), ids...), nil},
		{"client secret in the environment", "every-app", key("client_secret"), append(env, "AZURE_CLIENT_SECRET="+app.Secret)},
		{"client certificate in the DSN", "every-app", append(key("client_certificate", "azure_client_certificate_path", app.CertificateFile), ids...), nil},
		{"client certificate in the environment", "every-app", key("client_certificate"), append(env, "AZURE_CLIENT_CERTIFICATE_PATH="+app.CertificateFile)},
		{"workload identity in the DSN", "every-app", append(key("workload_identity", "azure_federated_token_file", app.FederatedTokenFile), ids...), nil},
		{"workload identity in the environment", "every-app", key("workload_identity"), append(env, "AZURE_FEDERATED_TOKEN_FILE="+app.FederatedTokenFile)},
		{"environment", "every-app", key("environment"), append(env, "AZURE_CLIENT_SECRET="+app.Secret)},
		{"default chain with a secret", "every-app", nil, append(env, "AZURE_CLIENT_SECRET="+app.Secret)},
		{"default chain with workload identity", "every-app", key("default"), append(env, "AZURE_FEDERATED_TOKEN_FILE="+app.FederatedTokenFile)},
	} {
		t.Run(row.name, func(t *testing.T) {
			noAzure(t)
			setenv(t, row.env...)
			wantUser(t, open(t, dsn(s, row.user, row.keys...)), row.user)
		})
	}

	t.Run("user-assigned managed identity of App Service", func(t *testing.T) {
		noAzure(t)
		id := s.AddManagedIdentity("every-identity")
		setenv(t, s.Identity.Env()...)
		wantUser(t, open(t, dsn(s, id.Name, key("managed_identity", "azure_client_id", id.ClientID)...)), id.Name)
	})
	t.Run("user-assigned managed identity of a virtual machine, by each of its ids", func(t *testing.T) {
		noAzure(t)
		for key, value := range map[string]func(*azurepgtest.Principal) string{
			"azure_client_id":                    func(p *azurepgtest.Principal) string { return p.ClientID },
			"azure_managed_identity_resource_id": func(p *azurepgtest.Principal) string { return p.ResourceID },
			"azure_managed_identity_object_id":   func(p *azurepgtest.Principal) string { return p.ObjectID },
		} {
			id := s.AddManagedIdentity("every-" + strings.ReplaceAll(key, "_", "-"))
			wantUser(t, open(t, dsn(s, "", "azure_credential", "managed_identity", key, value(id))), id.Name)
		}
	})
	t.Run("system-assigned managed identity", func(t *testing.T) {
		noAzure(t)
		id := s.AddSystemIdentity("every-vm")
		setenv(t, s.Identity.Env()...)
		wantUser(t, open(t, dsn(s, id.Name, key("managed_identity")...)), id.Name)
	})
	t.Run("Azure CLI", func(t *testing.T) {
		noAzure(t)
		alice := s.AddUser("every-alice@contoso.com")
		t.Setenv("PATH", s.AzureCLI(alice).Dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		wantUser(t, open(t, dsn(s, alice.Name, key("azure_cli")...)), alice.Name)
	})
	t.Run("default chain down to the Azure CLI", func(t *testing.T) {
		noAzure(t)
		bob := s.AddUser("every-bob@contoso.com")
		t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
		t.Setenv("PATH", s.AzureCLI(bob).Dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		wantUser(t, open(t, dsn(s, "")), bob.Name)
	})
}

func TestUserIsTakenFromTheToken(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	t.Run("of a person", func(t *testing.T) {
		p := s.AddUser("token-alice@contoso.com")
		t.Setenv("PATH", s.AzureCLI(p).Dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		wantUser(t, open(t, dsn(s, "", "azure_credential", "azure_cli")), p.UPN)
	})
	t.Run("of a user-assigned identity", func(t *testing.T) {
		p := s.AddManagedIdentity("token-identity")
		wantUser(t, open(t, dsn(s, "", "azure_credential", "managed_identity", "azure_client_id", p.ClientID)), p.Name)
	})
	t.Run("not of a service principal, whose token has no name", func(t *testing.T) {
		p := s.AddServicePrincipal("token-app")
		db := open(t, dsn(s, "", "azure_credential", "client_secret", "azure_tenant_id", p.TenantID, "azure_client_id", p.ClientID, "azure_client_secret", p.Secret))
		err := db.PingContext(t.Context())
		var de *azurepg.DSNError
		if !errors.As(err, &de) || de.Key != "user" {
			t.Fatalf("got %v; want a DSNError about user", err)
		}
		for _, part := range []string{p.ObjectID, p.ClientID, "pgaadauth_list_principals"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v\nlacks %s", err, part)
			}
		}
	})
	t.Run("PGUSER comes first", func(t *testing.T) {
		p := s.AddServicePrincipal("token-pguser")
		t.Setenv("PGUSER", p.Name)
		wantUser(t, open(t, dsn(s, "", "azure_credential", "client_secret", "azure_tenant_id", p.TenantID, "azure_client_id", p.ClientID, "azure_client_secret", p.Secret)), p.Name)
	})
}

func TestEntraNamesLogInFromBothFormsOfTheDSN(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	for _, name := range []string{
		"alice@contoso.com", "sp_user@db", "alice_fabrikam.com#EXT#@contoso.onmicrosoft.com", "my group", "o'brien@contoso.com", `back\slash`, "100%",
	} {
		t.Run(name, func(t *testing.T) {
			p := s.AddServicePrincipal(name)
			credentials := "azure_credential=client_secret&azure_tenant_id=" + p.TenantID + "&azure_client_id=" + p.ClientID +
				"&azure_client_secret=" + url.QueryEscape(p.Secret) + "&sslrootcert=" + url.QueryEscape(s.Postgres.CAFile)
			forms := map[string]string{
				"encoded URL":  "postgres://" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20") + "@" + s.Postgres.Addr() + "/postgres?" + credentials,
				"query of URL": "postgres://" + s.Postgres.Addr() + "/postgres?" + credentials + "&user=" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20"),
				"keyword form": "host=" + s.Postgres.Host + " port=" + portOf(s) + " dbname=postgres " + keyword(credentials) +
					" user='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name) + "'",
			}
			if !strings.Contains(name, "%") {
				forms["raw URL"] = "postgres://" + name + "@" + s.Postgres.Addr() + "/postgres?" + credentials
			}
			for form, dsn := range forms {
				t.Run(form, func(t *testing.T) { wantUser(t, open(t, dsn), name) })
			}
		})
	}
}

func portOf(s *azurepgtest.Server) string {
	_, port, _ := strings.Cut(s.Postgres.Addr(), ":")
	return port
}

// keyword turns a query into keyword/value form.
func keyword(query string) string {
	var out []string
	for _, kv := range strings.Split(query, "&") {
		key, value, _ := strings.Cut(kv, "=")
		value, _ = url.QueryUnescape(value)
		out = append(out, key+"='"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)+"'")
	}
	return strings.Join(out, " ")
}

// Login is for those who log in by themselves.
func TestLoginIsWhatConnectUses(t *testing.T) {
	t.Parallel()
	s := sharedAzure(t)
	c := connector(t, bySecret(s, s.AddServicePrincipal("login-app")), nil)
	login, err := c.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if login.User != "login-app" || !slices.Contains(s.Entra.Tokens(), string(login.Password)) || login.Dial == nil {
		t.Errorf("got %v; want login-app with a token of Entra's and a Dial", login)
	}
	if opened := c.Stats().Opened; opened != 0 {
		t.Errorf("it opened %d connections", opened)
	}
}
