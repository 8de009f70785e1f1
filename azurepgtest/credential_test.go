package azurepgtest_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/azurepg/azurepg/azurepgtest"
)

// claimsOf returns what a token says.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestEveryCredentialOfAzidentityLogsIn(t *testing.T) {
	options := clientOptions(shared)
	app := shared.AddServicePrincipal("credentials-app")
	identity := shared.AddManagedIdentity("credentials-identity")
	user := shared.AddUser("credentials@contoso.com")
	machine := shared.AddSystemIdentity("credentials-machine")
	tests := []struct {
		name string
		who  *azurepgtest.Principal
		env  []string
		cred func() (azcore.TokenCredential, error)
	}{
		{"client secret", app, nil, func() (azcore.TokenCredential, error) {
			return azidentity.NewClientSecretCredential(app.TenantID, app.ClientID, app.Secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
		}},
		{"client secret, authority is URL", app, []string{"AZURE_AUTHORITY_HOST=" + shared.Entra.URL}, func() (azcore.TokenCredential, error) {
			return azidentity.NewClientSecretCredential(app.TenantID, app.ClientID, app.Secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
		}},
		{"client secret, US Government", app, nil, func() (azcore.TokenCredential, error) {
			options := options
			options.Cloud = cloud.AzureGovernment
			return azidentity.NewClientSecretCredential(app.TenantID, app.ClientID, app.Secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
		}},
		{"client secret, China", app, nil, func() (azcore.TokenCredential, error) {
			options := options
			options.Cloud = cloud.AzureChina
			return azidentity.NewClientSecretCredential(app.TenantID, app.ClientID, app.Secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
		}},
		{"client certificate", app, nil, func() (azcore.TokenCredential, error) {
			file, err := os.ReadFile(app.CertificateFile)
			if err != nil {
				return nil, err
			}
			certificates, key, err := azidentity.ParseCertificates(file, nil)
			if err != nil {
				return nil, err
			}
			return azidentity.NewClientCertificateCredential(app.TenantID, app.ClientID, certificates, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: options})
		}},
		{"workload identity of an application", app, nil, func() (azcore.TokenCredential, error) {
			return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
				ClientOptions: options, TenantID: app.TenantID, ClientID: app.ClientID, TokenFilePath: app.FederatedTokenFile})
		}},
		{"workload identity of a managed identity", identity, nil, func() (azcore.TokenCredential, error) {
			return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
				ClientOptions: options, TenantID: identity.TenantID, ClientID: identity.ClientID, TokenFilePath: identity.FederatedTokenFile})
		}},
		{"environment", app, []string{"AZURE_TENANT_ID=" + app.TenantID, "AZURE_CLIENT_ID=" + app.ClientID, "AZURE_CLIENT_SECRET=" + app.Secret}, func() (azcore.TokenCredential, error) {
			return azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: options})
		}},
		{"App Service by client id", identity, shared.Identity.Env(), func() (azcore.TokenCredential, error) {
			return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options, ID: azidentity.ClientID(identity.ClientID)})
		}},
		{"App Service by object id", identity, shared.Identity.Env(), func() (azcore.TokenCredential, error) {
			return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options, ID: azidentity.ObjectID(identity.ObjectID)})
		}},
		{"IMDS by resource id", identity, nil, func() (azcore.TokenCredential, error) {
			return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options, ID: azidentity.ResourceID(identity.ResourceID)})
		}},
		{"IMDS system-assigned, found by default", machine, nil, func() (azcore.TokenCredential, error) {
			return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
		}},
		{"az of a user", user, []string{"PATH=" + shared.AzureCLI(user).Dir + ":" + os.Getenv("PATH")}, func() (azcore.TokenCredential, error) {
			return azidentity.NewAzureCLICredential(nil)
		}},
		{"az of an application", app, []string{"PATH=" + shared.AzureCLI(app).Dir + ":" + os.Getenv("PATH")}, func() (azcore.TokenCredential, error) {
			return azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: app.TenantID})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, setting := range tt.env {
				name, value, _ := strings.Cut(setting, "=")
				t.Setenv(name, value)
			}
			cred, err := tt.cred()
			if err != nil {
				t.Fatal(err)
			}
			token := getToken(t, cred)
			if len(token.Token) < 1600 {
				t.Errorf("the token has %d characters; want 1600 or more, as Azure's", len(token.Token))
			}
			if got := claimsOf(t, token.Token)["oid"]; got != tt.who.ObjectID {
				t.Errorf("oid is %v; want %v", got, tt.who.ObjectID)
			}
			if got := currentUser(t, shared.Postgres, tt.who.Name, token.Token); got != tt.who.Name {
				t.Errorf("logged in as %q; want %q", got, tt.who.Name)
			}
		})
	}
}

func TestEntraRefusesInItsOwnWords(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	app, other, expired := s.AddServicePrincipal("app"), s.AddServicePrincipal("other"), s.AddServicePrincipal("expired")
	s.Entra.ExpireSecret(expired)
	secret := func(tenant, client, secret string) azcore.TokenCredential {
		cred, err := azidentity.NewClientSecretCredential(tenant, client, secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: clientOptions(s)})
		if err != nil {
			t.Fatal(err)
		}
		return cred
	}
	federated := func(client, file string) azcore.TokenCredential {
		cred, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: clientOptions(s), TenantID: s.Entra.TenantID, ClientID: client, TokenFilePath: file})
		if err != nil {
			t.Fatal(err)
		}
		return cred
	}
	certificate := func(client, file string) azcore.TokenCredential {
		pem, _ := os.ReadFile(file)
		certificates, key, err := azidentity.ParseCertificates(pem, nil)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := azidentity.NewClientCertificateCredential(s.Entra.TenantID, client, certificates, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: clientOptions(s)})
		if err != nil {
			t.Fatal(err)
		}
		return cred
	}
	const unknown = "11111111-2222-4333-8444-555555555555"
	tests := []struct {
		name   string
		cred   azcore.TokenCredential
		scope  string
		code   string
		status int
	}{
		{"wrong secret", secret(app.TenantID, app.ClientID, "wrong"), databaseScope, "AADSTS7000215: Invalid client secret provided.", 401},
		{"secret of another", secret(app.TenantID, app.ClientID, other.Secret), databaseScope, "AADSTS7000215:", 401},
		{"expired secret", secret(app.TenantID, expired.ClientID, expired.Secret), databaseScope, "AADSTS7000222:", 401},
		{"unknown application", secret(app.TenantID, unknown, "x"), databaseScope, "AADSTS700016: Application with identifier '" + unknown + "' was not found", 400},
		{"unknown tenant", secret(unknown, app.ClientID, app.Secret), databaseScope, "AADSTS90002: Tenant '" + unknown + "' not found.", 400},
		{"scope without default", secret(app.TenantID, app.ClientID, app.Secret), strings.TrimSuffix(databaseScope, "/.default"), "AADSTS1002012:", 400},
		{"unknown resource", secret(app.TenantID, app.ClientID, app.Secret), "api://nothing/.default", "AADSTS500011:", 400},
		{"certificate of another", certificate(app.ClientID, other.CertificateFile), databaseScope, "AADSTS700027:", 401},
		{"service account of another", federated(app.ClientID, other.FederatedTokenFile), databaseScope, "AADSTS700213:", 401},
		{"assertion that is none", federated(app.ClientID, other.CertificateFile), databaseScope, "AADSTS50013:", 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{tt.scope}})
			if err == nil || !strings.Contains(err.Error(), tt.code) {
				t.Fatalf("got %v; want %s", err, tt.code)
			}
			var failed *azidentity.AuthenticationFailedError
			if errors.As(err, &failed) && failed.RawResponse != nil && failed.RawResponse.StatusCode != tt.status {
				t.Errorf("status is %d; want %d", failed.RawResponse.StatusCode, tt.status)
			}
		})
	}
	if cred := secret(app.TenantID, expired.ClientID, s.Entra.NewSecret(expired)); getToken(t, cred).Token == "" {
		t.Error("no token for the new secret")
	}
}

func TestUnknownManagedIdentityIsRefused(t *testing.T) {
	s := withoutPostgres(t)
	app := s.AddServicePrincipal("app")
	for _, env := range [][]string{nil, s.Identity.Env()} {
		for _, setting := range env {
			name, value, _ := strings.Cut(setting, "=")
			t.Setenv(name, value)
		}
		cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
			ClientOptions: clientOptions(s), ID: azidentity.ClientID(app.ClientID)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{databaseScope}}); err == nil {
			t.Error("a service principal got a token of a managed identity")
		}
	}
	if got := s.Identity.TokenRequests(); got != 2 {
		t.Errorf("the endpoint counted %d requests; want 2", got)
	}
	if got := s.Identity.Requests()[0]; got.Status != http.StatusBadRequest || got.ClientID != app.ClientID {
		t.Errorf("the log says %+v", got)
	}
}

func TestPlatformKeepsTokensIfTold(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	s.AddManagedIdentity("identity") // the only one, so requests need not name it
	ask := func() (token string) {
		t.Helper()
		url := "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net"
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		request.Header.Set("Metadata", "true")
		response, err := s.Entra.Transport().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var body map[string]string
		if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return body["access_token"]
	}
	if first, second := ask(), ask(); first == second {
		t.Error("got one token twice; want two")
	}
	s.Identity.KeepTokens(true)
	kept := ask()
	if ask() != kept {
		t.Error("got two tokens; want the one that is kept")
	}
	s.SetClock(25 * time.Hour)
	if ask() == kept {
		t.Error("got the token that has expired by the Server's clock")
	}
}

func TestAzureCLIIsAskedEachTime(t *testing.T) {
	s := withoutPostgres(t)
	user := s.AddUser("alice@contoso.com")
	az := s.AzureCLI(user)
	t.Setenv("PATH", az.Dir+":"+os.Getenv("PATH"))
	cred, err := azidentity.NewAzureCLICredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	first := getToken(t, cred)
	s.Entra.SetLifetime(10 * time.Minute)
	if second := getToken(t, cred); second.Token == first.Token || !second.ExpiresOn.Before(first.ExpiresOn) {
		t.Error("the second call did not get a token of its own")
	}
	az.SignOut()
	_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{databaseScope}})
	if err == nil || !strings.Contains(err.Error(), "az login") {
		t.Errorf("after SignOut: got %v; want a hint at az login", err)
	}
	az.SignIn()
	_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://x.example/.default"}, TenantID: "11111111-2222-4333-8444-555555555555"})
	if err == nil || !strings.Contains(err.Error(), "AADSTS90002") {
		t.Errorf("another tenant: got %v; want AADSTS90002", err)
	}
	if got := az.Calls(); got != 4 {
		t.Errorf("Calls() = %d; want 4", got)
	}
	az.SetRefusal(50076)
	refusedWith(t, "SetRefusal", cred, "AADSTS50076: Due to a configuration change")
	az.SetRefusal(0)
	getToken(t, cred)
}
