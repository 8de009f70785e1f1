package azurepgtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
)

// ask sends a GET request and returns status and body of the answer.
func ask(t *testing.T, s *azurepgtest.Server, u string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := s.Entra.Transport().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

const identityQuery = "resource=https%3A%2F%2Fossrdbms-aad.database.windows.net"

func askIMDS(t *testing.T, s *azurepgtest.Server, more string) (*http.Response, string) {
	return ask(t, s, "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&"+identityQuery+more, "Metadata", "true")
}

func askAppService(t *testing.T, s *azurepgtest.Server, more string) (*http.Response, string) {
	return ask(t, s, s.Identity.URL+"?api-version=2019-08-01&"+identityQuery+more, "X-IDENTITY-HEADER", s.Identity.Header)
}

func TestFaultsSpeakTheLanguageOfTheEndpoint(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	app := s.AddServicePrincipal("app")
	s.AddManagedIdentity("identity")
	const (
		appService = `"message":"An unexpected error occured while fetching the AAD Token.","statusCode":`
		unknown    = `{"error":"unknown","error_description":"Failed to retrieve token from the Active directory.`
	)
	tests := []struct {
		name, endpoint string
		fault          azurepgtest.Fault
		status         int
		body           string
	}{
		{"Entra throttles", "entra", azurepgtest.Status(429, 0), 429, "Too Many Requests"},
		{"Entra is down", "entra", azurepgtest.Status(503, 0), 503, `"error":"temporarily_unavailable"`},
		{"App Service fails", "app service", azurepgtest.Status(500, 0), 500, appService + "500"},
		{"App Service throttles", "app service", azurepgtest.Status(429, 0), 429, appService + "429"},
		{"App Service passes on", "app service", azurepgtest.AppUnknown, 400, `"message":"AADSTS700016: `},
		{"IMDS fails", "imds", azurepgtest.Status(500, 0), 500, unknown},
		{"IMDS is being updated", "imds", azurepgtest.Status(410, 0), 410, unknown},
		{"IMDS throttles", "imds", azurepgtest.Status(429, 0), 429, `{"error":"invalid_request","error_description":"Temporarily throttled, too many requests"}`},
		{"IMDS passes on", "imds", azurepgtest.AppUnknown, 400, `"error_codes":[700016],"error_description":"AADSTS700016: `},
		{"IMDS skewed", "imds", azurepgtest.ClockSkew(0), 200, `"access_token":"ey`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var status int
			var body string
			if tt.endpoint == "entra" {
				s.Entra.Fault(tt.fault.Times(1))
				status, _, body, _ = requestToken(t.Context(), s, app)
			} else {
				s.Identity.Fault(tt.fault.Times(1))
				send := askIMDS
				if tt.endpoint == "app service" {
					send = askAppService
				}
				var response *http.Response
				response, body = send(t, s, "")
				status = response.StatusCode
			}
			if status != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("got %d %s; want %d with %s", status, body, tt.status, tt.body)
			}
		})
	}
}

func TestMFAIsDemandedWithTheClaimsToAskFor(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	s.Entra.Fault(azurepgtest.MFARequired)
	_, _, body, err := requestToken(t.Context(), s, s.AddServicePrincipal("app"))
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Error, Suberror, Claims string }
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal([]byte(said.Claims), &claims); err != nil || claims["access_token"] == nil {
		t.Errorf("the claims are %q, %v; want those of the access token", said.Claims, err)
	}
	if said.Error != "invalid_grant" || said.Suberror != "basic_action" || !strings.Contains(body, "AADSTS50076: ") {
		t.Errorf("got %s", body)
	}
}

func TestRequestsAreCountedAndListed(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	app, identity := s.AddServicePrincipal("app"), s.AddManagedIdentity("identity")
	ask(t, s, s.Entra.URL+"/"+s.Entra.TenantID+"/v2.0/.well-known/openid-configuration")
	s.Entra.Fault(azurepgtest.Reset.Times(1))
	for range 2 { // one is cut, one is answered
		requestToken(t.Context(), s, app)
	}
	askIMDS(t, s, "&msi_res_id="+url.QueryEscape(identity.ResourceID))
	ask(t, s, "http://169.254.169.254/metadata/identity/oauth2/token") // DefaultAzureCredential's probe
	askAppService(t, s, "&client_id="+app.ClientID)                    // no identity of the machine
	type entry struct {
		method, path, grant, client string
		status                      int
	}
	const imds, grant = "/metadata/identity/oauth2/token", "client_credentials"
	tokenPath := "/" + s.Entra.TenantID + "/oauth2/v2.0/token"
	for _, tt := range []struct {
		name  string
		got   []azurepgtest.Request
		count int
		want  []entry
		token int
	}{
		{"Entra", s.Entra.Requests(), s.Entra.TokenRequests(), []entry{
			{"GET", "/" + s.Entra.TenantID + "/v2.0/.well-known/openid-configuration", "", "", 200},
			{"POST", tokenPath, grant, app.ClientID, 0},
			{"POST", tokenPath, grant, app.ClientID, 200},
		}, 2},
		{"managed identities", s.Identity.Requests(), s.Identity.TokenRequests(), []entry{
			{"GET", imds, "", identity.ResourceID, 200},
			{"GET", imds, "", "", 400},
			{"GET", "/msi/token", "", app.ClientID, 400},
		}, 2},
	} {
		if tt.count != tt.token || len(tt.got) != len(tt.want) {
			t.Fatalf("%s: %d token requests of %d; want %d of %d", tt.name, tt.count, len(tt.got), tt.token, len(tt.want))
		}
		for i, r := range tt.got {
			if got := (entry{r.Method, r.Path, r.Grant, r.ClientID, r.Status}); got != tt.want[i] {
				t.Errorf("%s: request %d is %+v; want %+v", tt.name, i, got, tt.want[i])
			}
		}
	}
}
