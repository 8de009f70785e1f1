package azurepg

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Every code that azurepg knows has a meaning and, unless waiting helps, advice.
func TestEveryKnownEntraCodeIsExplained(t *testing.T) {
	for code, known := range entraCodes {
		if !aadsts.regexp().MatchString(code) || known.means == "" || known.advice == "" && !known.retry {
			t.Errorf("%s: %+v", code, known)
		}
	}
}

// failedWith is azidentity's error around an HTTP answer.
func failedWith(status int, body string) error {
	return &azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}}
}

const refusedDial = `Get "http://localhost:42356/msi/token": dial tcp 127.0.0.1:42356: connect: connection refused`

// Every row of the table is met by an error here, in the words of azidentity.
func TestEveryCredentialFaultIsExplained(t *testing.T) {
	met := map[*credentialFault]bool{}
	for _, row := range []struct {
		name, credential string
		err              error
		says             string
		retry            bool
	}{
		{"sidecar not up", "managed_identity", errors.New(refusedDial), "sidecar", true},
		{"sidecar not up, by IPv6", "managed_identity", errors.New("dial tcp [::1]:42356: connect: connection refused"), "sidecar", true},
		{"a proxy on this machine is down", "client_secret", errors.New(`Get "https://login.microsoftonline.com/x": proxyconnect tcp: dial tcp 127.0.0.1:8888: connect: connection refused`), "HTTPS_PROXY", true},
		{"chain", "default", errors.New("DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n\tA: b"), "set azure_credential", false},
		{"identity not known", "managed_identity", failedWith(400, `{"error":"invalid_request"}`), "assigned", false},
		{"identity not known, without an answer", "managed_identity", errors.New("ManagedIdentityCredential: failed to authenticate a system assigned identity"), "assigned", false},
		{"throttled", "managed_identity", failedWith(429, ""), "in a loop", true},
		{"no endpoint", "managed_identity", errors.New("dial tcp 169.254.169.254:80: connect: no route to host"), "Azure's machines only", true},
		{"token file absent", "workload_identity", errors.New("WorkloadIdentityCredential: open /x: no such file or directory"), "webhook", false},
		{"no azd", "azure_developer_cli", errors.New("AzureDeveloperCLICredential: executable not found on path"), "Developer CLI", false},
		{"no PowerShell", "azure_powershell", errors.New("AzurePowerShellCredential: executable not found on path"), "PowerShell", false},
		{"no az", "azure_cli", errors.New("AzureCLICredential: executable not found on path"), "install the Azure CLI", false},
		{"azd logged out", "azure_developer_cli", errors.New("AzureDeveloperCLICredential: not logged in, run `azd auth login` to login"), "run azd auth login", false},
		{"PowerShell logged out", "azure_powershell", errors.New(`AzurePowerShellCredential: Please run "Connect-AzAccount" to set up an account`), "run Connect-AzAccount", false},
		{"az logged out", "azure_cli", errors.New("AzureCLICredential: ERROR: Please run 'az login' to setup account."), "run az login", false},
		{"captive portal", "client_secret", errors.New("json decode error: x, json message bytes were: HUNTER2"), "login page", true},
		{"proxy that opens TLS", "client_secret", errors.New("tls: failed to verify certificate: x509: certificate signed by unknown authority"), "proxy's", false},
		{"no DNS", "client_secret", errors.New("dial tcp: lookup login.microsoftonline.com: no such host"), "DNS", true},
		{"no network", "client_secret", errors.New("dial tcp 192.0.2.1:443: i/o timeout"), "login.microsoftonline.com", true},
		{"Entra is out of order", "client_secret", failedWith(503, ""), "recovers by itself", true},
		{"Entra is out of order, until the time was up", "client_secret", errors.New("the service kept refusing for 30s (azure_token_timeout)"), "recovers by itself", true},
		{"the endpoint is out of order", "managed_identity", failedWith(500, ""), "recovers by itself", true},
		{"no answer", "client_secret", errors.New("no answer within 30s"), "recovers by itself", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			status := 0
			if resp := failedResponse(row.err); resp != nil {
				status = resp.StatusCode
			}
			met[credentialFaultOf(row.credential, status, row.err.Error())] = true
			err := (&tokenSource{name: row.credential}).explain(t.Context(), row.err)
			var te *TokenError
			if !errors.As(err, &te) || !strings.Contains(te.Advice, row.says) || te.Temporary != row.retry || te.Credential != row.credential {
				t.Errorf("got %#v; want advice with %q, temporary %v", err, row.says, row.retry)
			}
			wantSafeLine(t, err, "HUNTER2")
		})
	}
	for i := range credentialFaults {
		if !met[&credentialFaults[i]] {
			t.Errorf("no case meets the row %d, %s: %s", i, credentialFaults[i].says, credentialFaults[i].means)
		}
	}
}

const (
	traceID       = "aaaaaaaa-0000-0000-0000-000000000001"
	correlationID = "bbbbbbbb-0000-0000-0000-000000000002"
	azRefused     = "ERROR: AADSTS50076: HUNTER2 words of Entra. Trace ID: " + traceID + " Correlation ID: " + correlationID + " Timestamp: 2026-11-01 10:00:00Z"
)

func TestOfEntrasWordsOnlyCodeAndIDsAreKept(t *testing.T) {
	body := fmt.Sprintf(`{"error":"interaction_required","error_description":%q,"trace_id":%q,"correlation_id":%q}`, azRefused, traceID, correlationID)
	for _, row := range []struct {
		name, credential string
		err              error
		chain            bool
	}{
		{"an answer", "client_secret", failedWith(401, body), false},
		{"the words of a tool", "azure_cli", errors.New("AzureCLICredential: " + azRefused), false},
		{"a tool in a chain", "default", errors.New("DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n\tEnvironmentCredential: missing environment variable AZURE_TENANT_ID\n\tAzureCLICredential: " +
			azRefused + "\n\tAzurePowerShellCredential: executable not found on path\nTo troubleshoot, visit https://aka.ms/x"), true},
		{"an answer quoted in a chain", "default", errors.New("DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n\tEnvironmentCredential: missing environment variable AZURE_TENANT_ID\n\tAzureCLICredential authentication failed. \n\t\tPOST https://x/\n\t\t" +
			azRefused + "\n\tAzurePowerShellCredential: executable not found on path"), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := (&tokenSource{name: row.credential}).explain(t.Context(), row.err)
			var te *TokenError
			if !errors.As(err, &te) || te.Code != "AADSTS50076" || te.TraceID != traceID || te.CorrelationID != correlationID || te.Advice != entraCodes["AADSTS50076"].advice {
				t.Errorf("got %#v; want code, ids and the code's advice", err)
			}
			says := []string{"AADSTS50076: multi-factor authentication is demanded", "trace id " + traceID, "correlation id " + correlationID}
			if row.chain {
				says = append(says, "EnvironmentCredential: missing environment variable AZURE_TENANT_ID", "AzureCLICredential: AADSTS50076", "AzurePowerShellCredential: executable not found")
			}
			for _, part := range says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\nlacks %s", err, part)
				}
			}
			wantSafeLine(t, err, "HUNTER2")
		})
	}
}

func TestIDsThatAreNoneAreLeftOut(t *testing.T) {
	err := (&tokenSource{name: "client_secret"}).explain(t.Context(), failedWith(400, `{"error":"HUNTER2!","error_description":"AADSTS90002x","trace_id":"HUNTER2","correlation_id":"HUNTER2"}`))
	var te *TokenError
	if !errors.As(err, &te) || te.Code != "AADSTS90002" || te.TraceID != "" || te.CorrelationID != "" {
		t.Errorf("got %#v; want the code and no ids", err)
	}
	wantSafeLine(t, err, "HUNTER2")
}

// A chain whose last credential could be asked, and did not get through, says why: the
// reason stands in a later line of azidentity's.
func TestChainThatEndsOnTheWayToEntraSaysWhy(t *testing.T) {
	const (
		begin  = "DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n\tEnvironmentCredential: missing environment variable AZURE_TENANT_ID\n\tManagedIdentityCredential: "
		noTool = "\n\tAzureCLICredential: executable not found on path"
		secret = "DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n\tClientSecretCredential: unable to resolve an endpoint: server response error:\n\t\t Get \"https://HUNTER2.example/\": "
	)
	for name, row := range map[string]struct {
		text   string
		retry  bool
		advice string
		says   string
	}{
		"sidecar not up":          {begin + refusedDial, true, "sidecar", "ManagedIdentityCredential: the identity endpoint of this container does not listen yet: "},
		"passed over":             {begin + refusedDial + noTool, false, "set azure_credential", "AzureCLICredential: executable not found on path"},
		"no DNS":                  {secret + "dial tcp: lookup login.microsoftonline.com: no such host", true, "DNS", "ClientSecretCredential: the name of the token service is not found: "},
		"no network":              {secret + "dial tcp 192.0.2.1:443: i/o timeout", true, "firewall and proxy", "ClientSecretCredential: the token service cannot be reached: "},
		"a proxy that opens TLS":  {secret + "tls: failed to verify certificate: x509: certificate signed by unknown authority", false, "install current CA certificates", "is not trusted here: "},
		"a proxy that is down":    {secret + "proxyconnect tcp: dial tcp 127.0.0.1:8888: connect: connection refused", true, "HTTPS_PROXY", "the proxy cannot be reached"},
		"nobody was ready at all": {begin + "managed identity timed out" + noTool, false, "set azure_credential", "managed identity timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&tokenSource{name: "default"}).explain(t.Context(), errors.New(row.text))
			var te *TokenError
			if !errors.As(err, &te) || te.Temporary != row.retry || !strings.Contains(te.Advice, row.advice) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v, temporary %v; want temporary %v, advice with %q and the words %q", err, te.Temporary, row.retry, row.advice, row.says)
			}
			wantSafeLine(t, err, "HUNTER2")
		})
	}
}
