package azurepgtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// requestToken posts a token request and returns the whole answer.
func requestToken(ctx context.Context, s *azurepgtest.Server, p *azurepgtest.Principal) (status int, header http.Header, body string, err error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {p.ClientID}, "client_secret": {p.Secret}, "scope": {databaseScope}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Entra.URL+"/"+p.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := s.Entra.Transport().Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(b), err
}

func TestFaultsComeInOrderAndEnd(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	app := s.AddServicePrincipal("app")
	s.Entra.Fault(azurepgtest.Status(503, 1500*time.Millisecond).Times(1))
	s.Entra.Fault(azurepgtest.AppUnknown.Times(2))
	s.Entra.Fault(azurepgtest.Garbage.Times(1))
	s.Entra.Fault(azurepgtest.TruncatedJSON.Times(1))
	s.Entra.Fault(azurepgtest.Reset.Times(1))
	s.Entra.Fault(azurepgtest.Delay(time.Millisecond).Times(1))

	status, header, _, _ := requestToken(t.Context(), s, app)
	if status != 503 || header.Get("Retry-After") != "2" {
		t.Errorf("Status: got %d, Retry-After %q; want 503, 2", status, header.Get("Retry-After"))
	}
	for range 2 {
		if status, _, body, _ := requestToken(t.Context(), s, app); status != 400 || !strings.Contains(body, "AADSTS700016") {
			t.Errorf("AppUnknown: got %d %s", status, body)
		}
	}
	if status, _, body, _ := requestToken(t.Context(), s, app); status != 200 || !strings.HasPrefix(body, "<!DOCTYPE") {
		t.Errorf("Garbage: got %d %s", status, body)
	}
	if status, _, body, _ := requestToken(t.Context(), s, app); status != 200 || !strings.Contains(body, `"access_token":"ey`) || strings.HasSuffix(body, "}\n") {
		t.Errorf("TruncatedJSON: got %d %s", status, body)
	}
	if _, _, _, err := requestToken(t.Context(), s, app); err == nil {
		t.Error("Reset: got an answer")
	}
	for _, what := range []string{"Delay", "no fault left"} {
		if status, _, _, _ := requestToken(t.Context(), s, app); status != 200 {
			t.Errorf("%s: got %d; want 200", what, status)
		}
	}
	if got := s.Entra.TokenRequests(); got != 8 {
		t.Errorf("TokenRequests() = %d; want 8", got)
	}
	if got := s.Entra.Requests()[0]; got.Grant != "client_credentials" || got.ClientID != app.ClientID || got.Status != 503 {
		t.Errorf("the log says %+v", got)
	}
}

func TestHangLastsUntilClientOrTestHasEnough(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	app := s.AddServicePrincipal("app")
	s.Entra.Fault(azurepgtest.Hang)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type answer struct {
		status int
		err    error
	}
	answered := make(chan answer)
	ask := func(ctx context.Context) {
		status, _, _, err := requestToken(ctx, s, app)
		answered <- answer{status, err}
	}
	for n, ctx := range []context.Context{ctx, t.Context()} {
		go ask(ctx)
		for s.Entra.TokenRequests() <= n { // counted on arrival
			select {
			case got := <-answered:
				t.Fatalf("got %+v at once; want it to hang", got)
			case <-time.After(time.Millisecond):
			}
		}
	}
	cancel()
	if got := <-answered; !errors.Is(got.err, context.Canceled) {
		t.Errorf("got %+v; want the client's own end", got)
	}
	s.Entra.ClearFaults()
	if got := <-answered; got.status != 200 {
		t.Errorf("after ClearFaults: got %+v; want 200", got)
	}
}

func TestNothingLeadsToTheRealAzure(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	for _, u := range []string{"https://management.azure.com/", "http://login.microsoftonline.com/", "https://example.com/"} {
		if response, err := s.Entra.Transport().Get(u); err == nil {
			response.Body.Close()
			t.Errorf("%s: got %s; want an error", u, response.Status)
		}
	}
}
