package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

var azure *azurepgtest.Server

func TestMain(m *testing.M) { os.Exit(exampletest.Serve(m, &azure)) }

const scope = "https://ossrdbms-aad.database.windows.net/.default"

// dsn leaves out who logs in.
func dsn() string {
	return "postgres://" + azure.Postgres.Addr() + "/postgres?sslrootcert=" + azure.Postgres.CAFile
}

// fakePerson has tokens of a user of azure once it was asked to log in.
type fakePerson struct {
	*azurepgtest.Credential
	asked atomic.Int32
}

func newFakePerson(upn string, lifetime time.Duration) *fakePerson {
	p, user := &fakePerson{Credential: azurepgtest.NewCredential(upn)}, azure.AddUser(upn)
	p.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		if p.asked.Load() == 0 {
			return azcore.AccessToken{}, fmt.Errorf("nobody has logged in")
		}
		end := time.Now().Add(lifetime)
		return azcore.AccessToken{Token: azure.Entra.Mint(user, &azurepgtest.MintOptions{Expires: end}), ExpiresOn: end}, nil
	})
	return p
}

func (p *fakePerson) Authenticate(_ context.Context, options *policy.TokenRequestOptions) (azidentity.AuthenticationRecord, error) {
	if len(options.Scopes) != 1 || options.Scopes[0] != scope {
		return azidentity.AuthenticationRecord{}, fmt.Errorf("asked for %q; want %s", options.Scopes, scope)
	}
	p.asked.Add(1)
	return azidentity.AuthenticationRecord{}, nil
}

func TestPersonIsAskedOnceWhileTokensRotate(t *testing.T) {
	alice := newFakePerson("alice@contoso.com", 2*time.Second)
	db, err := open(t.Context(), dsn(), alice)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n := alice.TokenRequests(); n != 0 {
		t.Errorf("%d token requests before the first connection", n)
	}
	db.SetMaxIdleConns(-1) // so that each query logs in
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for alice.TokenRequests() < 3 {
		var user string
		if err := db.QueryRowContext(ctx, "select current_user").Scan(&user); err != nil || user != "alice@contoso.com" {
			t.Fatalf("logged in as %q, %v", user, err)
		}
	}
	if n := alice.asked.Load(); n != 1 {
		t.Errorf("asked to log in %d times; want once", n)
	}
	for _, r := range alice.Requests() {
		if len(r.Scopes) != 1 || r.Scopes[0] != scope {
			t.Errorf("asked for a token for %q", r.Scopes)
		}
	}
}

func TestThoseWhoAskAPersonDoSoWhenToldTo(t *testing.T) {
	for name, wantPerson := range map[string]bool{"browser": true, "device": true, "pipelines": false} {
		pipelineEnv(t, azure.AddServicePrincipal("pipeline"))
		cred, err := credentials[name](azcore.ClientOptions{Transport: noNetwork{t}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, ok := cred.(person); ok != wantPerson {
			t.Errorf("%s: asks a person: %v; want %v", name, ok, wantPerson)
		}
		if !wantPerson {
			continue
		}
		_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
		if _, ok := err.(*azidentity.AuthenticationRequiredError); !ok {
			t.Errorf("%s: got %T %v; want *AuthenticationRequiredError, and no window", name, err, err)
		}
	}
}

// noNetwork answers discovery alone.
type noNetwork struct{ t *testing.T }

func (n noNetwork) Do(r *http.Request) (*http.Response, error) {
	if !strings.Contains(r.URL.Path, "discovery/instance") && !strings.Contains(r.URL.Path, "openid-configuration") {
		n.t.Errorf("asks %s", r.URL)
	}
	return azure.Entra.Transport().Do(r)
}

// fakePipeline hands out the token by which a build proves itself, as the service
// of Azure Pipelines does. Everything else is Entra's.
type fakePipeline struct {
	principal *azurepgtest.Principal
	asked     atomic.Int32
}

const buildToken = "the-token-of-the-build"

func (p *fakePipeline) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "dev.azure.example" {
		return azure.Entra.Transport().Do(r)
	}
	p.asked.Add(1)
	answer := &http.Response{StatusCode: http.StatusUnauthorized, Request: r, Body: http.NoBody, Header: http.Header{}}
	if r.Header.Get("Authorization") != "Bearer "+buildToken || r.URL.Query().Get("serviceConnectionId") != "connection" {
		return answer, nil
	}
	proof, err := os.ReadFile(p.principal.FederatedTokenFile)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]string{"oidcToken": string(proof)})
	if err != nil {
		return nil, err
	}
	answer.StatusCode, answer.Body = http.StatusOK, io.NopCloser(strings.NewReader(string(body)))
	return answer, nil
}

func pipelineEnv(t *testing.T, p *azurepgtest.Principal) {
	for name, value := range map[string]string{
		"AZURESUBSCRIPTION_TENANT_ID": p.TenantID, "AZURESUBSCRIPTION_CLIENT_ID": p.ClientID,
		"AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection", "SYSTEM_ACCESSTOKEN": buildToken,
		"SYSTEM_OIDCREQUESTURI": "https://dev.azure.example/oidctoken",
	} {
		t.Setenv(name, value)
	}
}

func TestPipelineLogsInByItsServiceConnection(t *testing.T) {
	principal := azure.AddServicePrincipal("pipeline")
	pipelineEnv(t, principal)
	service := &fakePipeline{principal: principal}
	cred, err := pipelines(azcore.ClientOptions{Transport: service})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(t.Context(), dsn()+"&user=pipeline", cred, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "logged in as pipeline\n" || service.asked.Load() != 1 {
		t.Errorf("printed %q, asked the pipeline %d times", got, service.asked.Load())
	}
}

func TestRefusedBuildIsATokenError(t *testing.T) {
	principal := azure.AddServicePrincipal("pipeline")
	pipelineEnv(t, principal)
	t.Setenv("SYSTEM_ACCESSTOKEN", "another-token")
	cred, err := pipelines(azcore.ClientOptions{Transport: &fakePipeline{principal: principal}})
	if err != nil {
		t.Fatal(err)
	}
	err = run(t.Context(), dsn()+"&user=pipeline", cred, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "azurepg: no token from credential AzurePipelinesCredential: ") || strings.Contains(err.Error(), "another-token") {
		t.Errorf("got %v", err)
	}
}
