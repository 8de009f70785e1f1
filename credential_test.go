package azurepg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestMissingCredentialsAreNamedBySQLOpen(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "SECRET")
	if err := os.WriteFile(garbage, []byte("SECRET"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, dsn string
		env       []string
		key, says string
	}{
		{"client secret, nothing", "azure_credential=client_secret", nil, "azure_tenant_id",
			"Azure AD credentials are missing: azure_tenant_id (or AZURE_TENANT_ID), azure_client_id (or AZURE_CLIENT_ID), azure_client_secret (or AZURE_CLIENT_SECRET)"},
		{"client secret, half in the environment", "azure_credential=client_secret", []string{"AZURE_TENANT_ID=t", "AZURE_CLIENT_ID=c"}, "azure_client_secret",
			"Azure AD credentials are missing: azure_client_secret (or AZURE_CLIENT_SECRET)"},
		{"certificate", "azure_credential=client_certificate azure_tenant_id=t azure_client_id=c", nil, "azure_client_certificate_path", "are missing: azure_client_certificate_path"},
		{"certificate file absent", "azure_credential=client_certificate azure_tenant_id=t azure_client_id=c azure_client_certificate_path=/SECRET", nil, "azure_client_certificate_path", "does not exist"},
		{"certificate file garbage", "azure_credential=client_certificate azure_tenant_id=t azure_client_id=c azure_client_certificate_path=" + garbage, nil, "azure_client_certificate_path", "PEM or PKCS#12"},
		{"workload identity", "azure_credential=workload_identity", nil, "azure_tenant_id", "azure_federated_token_file (or AZURE_FEDERATED_TOKEN_FILE)"},
		{"federated token file absent", "azure_credential=workload_identity azure_tenant_id=t azure_client_id=c azure_federated_token_file=/SECRET", nil, "azure_federated_token_file", "webhook"},
		{"environment", "azure_credential=environment", []string{"AZURE_TENANT_ID=t"}, "azure_credential", "are missing: AZURE_CLIENT_ID, AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH)"},
		{"tenant id that is none", "azure_credential=client_secret azure_tenant_id='SECRET SECRET' azure_client_id=c azure_client_secret=SECRET", nil, "azure_credential", "cannot be made"},
		{"authority without https", "azure_credential=client_secret azure_tenant_id=t azure_client_id=c azure_client_secret=SECRET", []string{"AZURE_AUTHORITY_HOST=http://u:SECRET@x"}, "AZURE_AUTHORITY_HOST", "https"},
		{"unknown credential", "azure_credential=SECRET", nil, "azure_credential", "client_secret"},
	} {
		t.Run(row.name, func(t *testing.T) {
			noAzure(t)
			setenv(t, row.env...)
			c, err := azurepg.Driver{}.OpenConnector("host=db.example.com user=app " + row.dsn)
			var de *azurepg.DSNError
			if c != nil || !errors.As(err, &de) || de.Key != row.key {
				t.Fatalf("got %v, %v; want a DSNError of %s", c, err, row.key)
			}
			if text := err.Error(); !strings.Contains(text, row.says) || strings.Contains(text, "\n") || strings.Contains(text, "SECRET SECRET") {
				t.Errorf("got %q; want one line with %q", text, row.says)
			}
		})
	}
}

func TestEntraRefusalKeepsItsCodeAndAddsAdvice(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("advice-app")
	good := []string{"azure_tenant_id", app.TenantID, "azure_client_id", app.ClientID}
	for _, row := range []struct {
		name       string
		code, says string
		keys       []string
	}{
		{"wrong secret", "AADSTS7000215", "not its id", append([]string{"azure_client_secret", "HUNTER2"}, good...)},
		{"unknown application", "AADSTS700016", "azure_client_id", []string{"azure_client_secret", "HUNTER2", "azure_tenant_id", app.TenantID, "azure_client_id", "11111111-2222-3333-4444-555555555555"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			db := open(t, dsn(s, app.Name, append([]string{"azure_credential", "client_secret"}, row.keys...)...))
			err := db.PingContext(t.Context())
			var te *azurepg.TokenError
			if !errors.As(err, &te) || te.Code != row.code || te.Temporary || te.StatusCode < 400 || te.CorrelationID == "" {
				t.Fatalf("got %#v (%v); want a lasting TokenError with %s", te, err, row.code)
			}
			text := err.Error()
			for _, part := range []string{row.code, row.says, te.CorrelationID} {
				if !strings.Contains(text, part) {
					t.Errorf("%s\nlacks %q", text, part)
				}
			}
			if strings.Contains(text, "\n") || strings.Contains(text, "HUNTER2") || strings.Contains(fmt.Sprintf("%+v %#v", err, err), "HUNTER2") {
				t.Errorf("%q is more than a line, or shows the secret", text)
			}
		})
	}
}

// tokenErrorOf returns the error of a connect while the token service has the
// fault, with a time-out of 2 s, after checking that it shows no secret.
func tokenErrorOf(t *testing.T, fault azurepgtest.Fault) *azurepg.TokenError {
	t.Helper()
	s, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	app := s.AddServicePrincipal("app")
	s.Entra.Fault(fault)
	c, err := azurepg.NewConnector(&azurepg.Config{Hosts: []azurepg.Host{{Name: "db.example.com"}}, User: "app", AzureCredential: "client_secret",
		TenantID: app.TenantID, ClientID: app.ClientID, ClientSecret: azurepg.Secret(app.Secret), TokenTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Connect(t.Context())
	var te *azurepg.TokenError
	if !errors.As(err, &te) {
		t.Fatalf("got %v; want a TokenError", err)
	}
	printed := fmt.Sprintf("%v %+v %#v", err, err, te)
	for _, secret := range append(s.Entra.Tokens(), app.Secret) {
		if strings.Contains(printed, secret[:len(secret)/2]) {
			t.Errorf("the error shows a secret: %s", printed)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than one line", err)
	}
	return te
}

func TestFaultsOfTheTokenServiceAreTemporary(t *testing.T) {
	noAzure(t)
	for name, fault := range map[string]azurepgtest.Fault{
		"garbage": azurepgtest.Garbage, "truncated JSON": azurepgtest.TruncatedJSON, "a reset": azurepgtest.Reset, "hanging": azurepgtest.Hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if te := tokenErrorOf(t, fault); !te.Temporary {
				t.Errorf("%v is not temporary", te)
			}
		})
	}
}

// azidentity answers a refusal for now with tries of its own, until time is up.
func TestRefusalForNowIsNotReportedAsSilence(t *testing.T) {
	noAzure(t)
	for _, row := range []struct{ code, retryAfter int }{{503, 0}, {429, 7}} {
		t.Run(fmt.Sprint(row.code), func(t *testing.T) {
			t.Parallel()
			after := time.Duration(row.retryAfter) * time.Second
			te := tokenErrorOf(t, azurepgtest.Status(row.code, after))
			if te.StatusCode != row.code || te.RetryAfter != after || !te.Temporary || !errors.Is(te, context.DeadlineExceeded) {
				t.Errorf("got %#v (%v); want a temporary TokenError with status %d, Retry-After %v", te, te, row.code, after)
			}
		})
	}
}

// A server that is no token service can stand where the chain looks for one.
func TestChainThatEndsWithAResponseNamesEachCredentialToo(t *testing.T) {
	noAzure(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("\n\tHUNTER2 in the body"))
	}))
	defer server.Close()
	setenv(t, "IDENTITY_ENDPOINT="+server.URL, "IDENTITY_HEADER=x")
	err := open(t, "host=db.example.com user=app").PingContext(t.Context())
	var te *azurepg.TokenError
	if !errors.As(err, &te) || te.StatusCode != 403 {
		t.Fatalf("got %#v (%v); want a TokenError with status 403", te, err)
	}
	for _, part := range []string{"EnvironmentCredential", "WorkloadIdentityCredential", "ManagedIdentityCredential", "set azure_credential"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v\nlacks %s", err, part)
		}
	}
	if strings.Contains(err.Error(), "HUNTER2") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q holds the body, or more than a line", err)
	}
}

func TestChainKeepsEntrasCodeAndItsAdvice(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("chain-app")
	setenv(t, "AZURE_TENANT_ID="+app.TenantID, "AZURE_CLIENT_ID="+app.ClientID, "AZURE_CLIENT_SECRET=HUNTER2")
	err := open(t, dsn(s, app.Name)).PingContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "AADSTS7000215") || !strings.Contains(err.Error(), "not its id") || strings.Contains(err.Error(), "az login") {
		t.Errorf("got %v; want AADSTS7000215 with its own advice", err)
	}
}

func TestProbeOfTheChainIsNoRefusal(t *testing.T) {
	noAzure(t)
	s, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	id := s.AddManagedIdentity("id")
	setenv(t, "AZURE_CLIENT_ID="+id.ClientID)
	s.Identity.Fault(azurepgtest.Hang)
	err = open(t, "host=db.example.com user=id azure_token_timeout=3s").PingContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no answer within 3s") {
		t.Errorf("got %v; want no answer: a probe gets a 400 by design", err)
	}
}

func TestNoAnswerOfAServiceIsQuoted(t *testing.T) {
	for _, row := range []struct {
		name string
		code int
		body string
		cred func(azcore.ClientOptions) (azcore.TokenCredential, error)
	}{
		{"identity endpoint, 400", 400, `{"error":"invalid_request","error_description":"HUNTER2"}`, managedIdentity},
		{"identity endpoint, unreachable", 403, "network unreachable HUNTER2", managedIdentity},
		{"identity endpoint in a chain", 400, `{"error_description":"HUNTER2"}`, func(o azcore.ClientOptions) (azcore.TokenCredential, error) {
			id, err := managedIdentity(o)
			if err != nil {
				return nil, err
			}
			return azidentity.NewChainedTokenCredential([]azcore.TokenCredential{id}, nil)
		}},
		{"captive portal", 200, "<html>HUNTER2</html>", func(o azcore.ClientOptions) (azcore.TokenCredential, error) {
			return azidentity.NewClientSecretCredential("tenant", "client", "secret", &azidentity.ClientSecretCredentialOptions{ClientOptions: o})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			noAzure(t)
			cred, err := row.cred(azcore.ClientOptions{Transport: transport(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: row.code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(row.body)), Request: r}, nil
			})})
			if err != nil {
				t.Fatal(err)
			}
			_, err = azurepg.NewTokenCache(cred, nil).Token(t.Context())
			if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "HUNTER2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v; want one line without the answer", err)
			}
		})
	}
}

func managedIdentity(o azcore.ClientOptions) (azcore.TokenCredential, error) {
	return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: o})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestChainNamesEachCredentialAndItsReason(t *testing.T) {
	noAzure(t)
	t.Setenv("PATH", t.TempDir())
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
	db := open(t, "host=db.example.com user=app")
	err := db.PingContext(t.Context())
	var te *azurepg.TokenError
	if !errors.As(err, &te) || te.Temporary {
		t.Fatalf("got %v; want a lasting TokenError", err)
	}
	for _, part := range []string{"AzureCLICredential", "AzureDeveloperCLICredential", "AzurePowerShellCredential"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v\nlacks %s", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than one line", err)
	}
}

func TestLoggedOutAzureCLISaysAzLogin(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	cli := s.AzureCLI(s.AddUser("out@contoso.com"))
	cli.SignOut()
	t.Setenv("PATH", cli.Dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	err := open(t, dsn(s, "", "azure_credential", "azure_cli")).PingContext(t.Context())
	var te *azurepg.TokenError
	if !errors.As(err, &te) || !strings.Contains(err.Error(), "run az login") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v; want one line that says az login", err)
	}
}

func TestExpiredSecretIsReadAnew(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	s.Entra.SetLifetime(2 * time.Second)
	setenv(t, "AZURE_TENANT_ID="+app.TenantID, "AZURE_CLIENT_ID="+app.ClientID, "AZURE_CLIENT_SECRET="+app.Secret)
	c := connector(t, dsn(s, app.Name, "azure_credential", "client_secret"), nil)
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Entra.ExpireSecret(app)
	<-time.After(time.Until(c.Stats().Tokens.ExpiresOn))
	var te *azurepg.TokenError
	if _, err := c.Connect(t.Context()); !errors.As(err, &te) || te.Code != "AADSTS7000222" {
		t.Fatalf("got %v; want AADSTS7000222", err)
	}
	t.Setenv("AZURE_CLIENT_SECRET", s.Entra.NewSecret(app))
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := c.Connect(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("with the new secret: %v", err)
		}
		<-time.After(20 * time.Millisecond) // the failure is answered for a second
	}
}

func TestCredentialFromCode(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("code-app")
	cred := credentialOf(s, app)
	c := connector(t, dsn(s, app.Name), func(cfg *azurepg.Config) { cfg.Credential = cred })
	wantUser(t, openConnector(t, c), app.Name)
	wantUser(t, openConnector(t, c), app.Name)
	if got := cred.TokenRequests(); got != 1 {
		t.Errorf("the credential was called %d times; want 1", got)
	}
}

func TestTokenCacheFromCodeIsSharedByConnectorsAndOthers(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("cache-app")
	tokens := azurepg.NewTokenCache(credentialOf(s, app), nil)
	for range 3 {
		c := connector(t, dsn(s, app.Name), func(cfg *azurepg.Config) { cfg.Tokens = tokens })
		wantUser(t, openConnector(t, c), app.Name)
	}
	if got := tokens.Stats().Fetches; got != 1 {
		t.Errorf("%d fetches; want 1", got)
	}
}

// credentialOf returns a credential whose tokens s takes for those of app.
func credentialOf(s *azurepgtest.Server, app *azurepgtest.Principal) *azurepgtest.Credential {
	cred := azurepgtest.NewCredential("")
	cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		return azcore.AccessToken{Token: s.Entra.Mint(app, nil), ExpiresOn: time.Now().Add(time.Hour)}, nil
	})
	return cred
}
