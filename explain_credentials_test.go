package azurepg_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestEntrasCodesReachTheUserWithIDsAndAdvice(t *testing.T) {
	noAzure(t)
	for code, says := range map[int]string{
		7000215: "not its id", 7000222: "new client secret", 700016: "azure_client_id", 90002: "azure_cloud", 50076: "az login", 700024: "clock",
		70021: "federated credential", 700211: "issuer", 700212: "AzureADTokenExchange", 700213: "serviceaccount", 500011: "azure_scope", 1002012: "/.default", 530003: "compliant device",
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			te := tokenErrorOf(t, azurepgtest.AADSTS(code))
			if te.Code != fmt.Sprintf("AADSTS%d", code) || te.TraceID == "" || te.CorrelationID == "" || te.Temporary || te.Credential != "client_secret" {
				t.Errorf("got %#v; want the code, both ids, a lasting error", te)
			}
			wantParts(t, te, "credential client_secret", te.Code, "trace id "+te.TraceID, "correlation id "+te.CorrelationID, says)
		})
	}
}

// writeAz puts an az in front of PATH that fails with these words.
func writeAz(t *testing.T, words string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"" + words + "\" >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "az"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestOfAzsWordsOnlyEntrasCodeIsKept(t *testing.T) {
	const words = "ERROR: AADSTS50076: Due to a change made by HUNTER2. Trace ID: aaaaaaaa-0000-0000-0000-000000000001 Correlation ID: bbbbbbbb-0000-0000-0000-000000000002"
	for name, dsn := range map[string]string{"alone": "host=db.example.com user=app azure_credential=azure_cli", "in the chain": "host=db.example.com user=app"} {
		t.Run(name, func(t *testing.T) {
			noAzure(t)
			writeAz(t, words)
			t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
			err := connectError(t, dsn, nil, "HUNTER2")
			wantParts(t, err, "AADSTS50076: multi-factor", "correlation id bbbbbbbb-", "az login")
		})
	}
}

func TestMissingToolIsNamed(t *testing.T) {
	noAzure(t)
	t.Setenv("PATH", t.TempDir())
	for name, says := range map[string]string{"azure_cli": "install the Azure CLI", "azure_developer_cli": "install the Azure Developer CLI", "azure_powershell": "install PowerShell"} {
		t.Run(name, func(t *testing.T) {
			wantParts(t, connectError(t, "host=db.example.com user=app azure_credential="+name, nil), "no token from credential "+name, says)
		})
	}
}

func TestManagedIdentityThatCannotBeHadIsExplained(t *testing.T) {
	noAzure(t)
	s, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	id := s.AddManagedIdentity("id")
	byID := func(timeout, clientID string) string { // errors are shared for a second, by all the settings
		return "host=db.example.com user=id azure_credential=managed_identity azure_token_timeout=" + timeout + " azure_client_id=" + clientID
	}
	temporary := func(t *testing.T, err error) {
		t.Helper()
		var te *azurepg.TokenError
		if !errors.As(err, &te) || !te.Temporary {
			t.Errorf("%v is not a temporary TokenError", err)
		}
	}
	t.Run("throttled", func(t *testing.T) {
		s.Identity.Fault(azurepgtest.Status(429, 0))
		defer s.Identity.ClearFaults()
		err := connectError(t, byID("2s", id.ClientID), nil)
		temporary(t, err)
		wantParts(t, err, "HTTP 429", "fetch tokens in a loop")
	})
	t.Run("no endpoint", func(t *testing.T) {
		s.Identity.Fault(azurepgtest.Hang)
		defer s.Identity.ClearFaults()
		err := connectError(t, byID("1s", id.ClientID), nil)
		temporary(t, err)
		wantParts(t, err, "no answer within 1s", "Azure's machines only")
	})
	t.Run("not assigned", func(t *testing.T) {
		_ = s.AddManagedIdentity("another")
		setenv(t, s.Identity.Env()...)
		wantParts(t, connectError(t, byID("2s", "11111111-2222-3333-4444-555555555555"), nil), "HTTP 400", "check that this identity is assigned")
	})
	t.Run("sidecar not up", func(t *testing.T) {
		addr := fmt.Sprintf("127.0.0.1:%d", refusing(t).Port)
		setenv(t, "IDENTITY_ENDPOINT=http://"+addr+"/msi/token", "IDENTITY_HEADER=x")
		for name, dsn := range map[string]string{"by itself": "azure_credential=managed_identity", "in the chain": ""} {
			t.Run(name, func(t *testing.T) {
				err := connectError(t, "host=db.example.com user=app azure_token_timeout=2s "+dsn, nil)
				temporary(t, err)
				wantParts(t, err, addr, "connection refused", "sidecar")
			})
		}
	})
}

func TestAbsentFederatedTokenSpeaksOfTheWebhook(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("absent-app")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	ids := "host=db.example.com user=app azure_credential=workload_identity azure_tenant_id=" + app.TenantID + " azure_client_id=" + app.ClientID + " azure_federated_token_file="
	t.Run("variables absent", func(t *testing.T) {
		_, err := azurepg.Driver{}.OpenConnector("host=db.example.com user=app azure_credential=workload_identity")
		var de *azurepg.DSNError
		if !errors.As(err, &de) {
			t.Fatalf("got %v; want a DSNError", err)
		}
		wantParts(t, err, "AZURE_FEDERATED_TOKEN_FILE", "webhook", "azure.workload.identity/use=true")
	})
	t.Run("file absent", func(t *testing.T) {
		_, err := azurepg.Driver{}.OpenConnector(ids + file + "-gone")
		if err == nil {
			t.Fatal("opened")
		}
		wantParts(t, err, "azure_federated_token_file", "does not exist", "webhook")
	})
	t.Run("file gone later", func(t *testing.T) {
		c := connector(t, ids+file, nil)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		_, err := c.Connect(t.Context())
		var te *azurepg.TokenError
		if !errors.As(err, &te) {
			t.Fatalf("got %v; want a TokenError", err)
		}
		wantParts(t, err, "the federated token file is absent", "webhook")
	})
}

// A proxy that opens TLS shows a certificate that this machine does not trust.
func TestUntrustedTokenServiceIsExplained(t *testing.T) {
	noAzure(t)
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake
	server.StartTLS()
	defer server.Close()
	err := connectError(t, "host=db.example.com user=app azure_credential=client_secret azure_tenant_id=t azure_client_id=c azure_client_secret=HUNTER2 azure_token_timeout=2s", func(cfg *azurepg.Config) {
		cfg.AuthorityHost, cfg.DisableInstanceDiscovery = server.URL, true
	}, "HUNTER2")
	wantParts(t, err, "x509: ", "install current CA certificates")
}
