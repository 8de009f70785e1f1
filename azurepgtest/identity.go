package azurepgtest

import (
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// ManagedIdentityEndpoint is a fake of the endpoints that hand tokens to managed
// identities: that of App Service, Functions and Container Apps, which Env announces,
// and that of virtual machines (IMDS), which [Entra.Transport] finds at its fixed
// address. A request that names no identity gets the system-assigned one added last.
type ManagedIdentityEndpoint struct {
	URL    string // http://127.0.0.1:port/msi/token, the value of IDENTITY_ENDPOINT
	Header string // the value of IDENTITY_HEADER, random

	entra    *Entra
	faults   faultQueue
	throttle throttle
	log      *requestLog

	mu       sync.Mutex // guards all below
	lifetime time.Duration
	kept     map[string]keptToken // nil unless KeepTokens; by client id and resource
}

// A keptToken is one that the platform has cached.
type keptToken struct {
	token   string
	expires time.Time
}

// identityLifetime is how long tokens of managed identities are valid.
// Source: learn.microsoft.com, "Managed identities for Azure resources frequently
// asked questions", read 2026-11.
const identityLifetime = 24 * time.Hour

func newManagedIdentityEndpoint(entra *Entra) *ManagedIdentityEndpoint {
	return &ManagedIdentityEndpoint{
		Header: newGUID(), entra: entra,
		log: new(requestLog), lifetime: identityLifetime,
	}
}

// Env returns the settings by which a process finds the endpoint of App Service.
func (m *ManagedIdentityEndpoint) Env() []string {
	return []string{"IDENTITY_ENDPOINT=" + m.URL, "IDENTITY_HEADER=" + m.Header}
}

// SetLifetime makes tokens issued from now on valid for d, in whole seconds; the
// default is a day.
func (m *ManagedIdentityEndpoint) SetLifetime(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lifetime = d
}

// KeepTokens says whether to answer with the same token until it expires. Azure does
// so, and nothing forces it to make a new one; the default here is a new token for
// each request.
func (m *ManagedIdentityEndpoint) KeepTokens(keep bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = nil
	if keep {
		m.kept = make(map[string]keptToken)
	}
}

// Fault makes token requests go wrong; see [Entra.Fault].
func (m *ManagedIdentityEndpoint) Fault(f Fault) { m.faults.add(f) }

// ClearFaults ends all faults; see [Entra.ClearFaults].
func (m *ManagedIdentityEndpoint) ClearFaults() { m.faults.clear() }

// TokenRequests returns how many token requests have arrived. The probe that
// DefaultAzureCredential sends to find out whether there is an IMDS is none.
func (m *ManagedIdentityEndpoint) TokenRequests() int { return m.log.tokenRequests() }

// Requests returns all requests received so far.
func (m *ManagedIdentityEndpoint) Requests() []Request { return m.log.all() }

func (m *ManagedIdentityEndpoint) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+appServicePath, m.throttle.wrap(m.faults.wrap(http.HandlerFunc(m.serveAppService))))
	mux.Handle("GET "+imdsPath, m.probed(m.throttle.wrap(m.faults.wrap(http.HandlerFunc(m.serveIMDS)))))
	return m.log.wrap(m.entra.clock.wrap(mux), func(r *http.Request) bool {
		return r.URL.Path == appServicePath || r.Header.Get("Metadata") == "true"
	})
}

// serveAppService speaks api-version 2019-08-01.
// Source: learn.microsoft.com, "REST endpoint reference" of App Service's managed
// identities, read 2026-11.
func (m *ManagedIdentityEndpoint) serveAppService(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, message string) { refuseAppService(w, status, message) }
	if r.Header.Get("X-IDENTITY-HEADER") != m.Header {
		refuse(http.StatusUnauthorized, "The X-IDENTITY-HEADER header is missing or wrong.")
		return
	}
	if r.Form.Get("api-version") != "2019-08-01" {
		refuse(http.StatusBadRequest, "The api-version is not supported.")
		return
	}
	if !isResource(r.Form.Get("resource")) {
		refuse(http.StatusBadRequest, "The resource is missing or no resource.")
		return
	}
	a := m.identity(r.Form)
	if a == nil {
		refuse(http.StatusBadRequest, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.")
		return
	}
	token, expires, err := m.token(a, r)
	if err != nil {
		refuse(http.StatusInternalServerError, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token,
		"client_id":    a.ClientID,
		"expires_on":   strconv.FormatInt(expires.Unix(), 10),
		"resource":     r.Form.Get("resource"),
		"token_type":   "Bearer",
	})
}

// probed refuses requests without the Metadata header, which guards IMDS against
// requests that a program is tricked into.
func (m *ManagedIdentityEndpoint) probed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "true" {
			refuseIMDS(w, http.StatusBadRequest, "invalid_request", "Required metadata header not specified")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveIMDS speaks api-version 2018-02-01. All its numbers are strings.
// Source: learn.microsoft.com, "How to use managed identities on a VM to acquire an
// access token", read 2026-11.
func (m *ManagedIdentityEndpoint) serveIMDS(w http.ResponseWriter, r *http.Request) {
	refuse := func(code, description string) { refuseIMDS(w, http.StatusBadRequest, code, description) }
	if r.Form.Get("api-version") == "" {
		refuse("invalid_request", "Required query variable 'api-version' is missing")
		return
	}
	if !isResource(r.Form.Get("resource")) {
		refuse("invalid_resource", "AADSTS500011: The resource principal was not found in the tenant.")
		return
	}
	a := m.identity(r.Form)
	if a == nil {
		refuse("invalid_request", "Identity not found")
		return
	}
	token, expires, err := m.token(a, r)
	if err != nil {
		refuse("unknown_error", err.Error())
		return
	}
	expiresIn := strconv.Itoa(int(expires.Sub(stampTime(r)) / time.Second))
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token":   token,
		"client_id":      a.ClientID,
		"expires_in":     expiresIn,
		"expires_on":     strconv.FormatInt(expires.Unix(), 10),
		"ext_expires_in": expiresIn,
		"not_before":     strconv.FormatInt(stampTime(r).Add(-clockSkew).Unix(), 10),
		"resource":       r.Form.Get("resource"),
		"token_type":     "Bearer",
	})
}

// identityIn returns the id by which a request names an identity, "" if it names none.
// App Service and IMDS spell the object id and the resource id differently.
func identityIn(form url.Values) string {
	for _, key := range []string{"client_id", "object_id", "principal_id", "mi_res_id", "msi_res_id"} {
		if id := form.Get(key); id != "" {
			return id
		}
	}
	return ""
}

// identity returns the managed identity that a request means, or nil.
func (m *ManagedIdentityEndpoint) identity(form url.Values) *account {
	id := identityIn(form)
	if id == "" {
		return m.entra.directory.machineIdentity()
	}
	a := m.entra.directory.withID(id)
	if a == nil || a.Kind != UserAssignedIdentity && a.Kind != SystemAssignedIdentity {
		return nil
	}
	return a
}

// token returns the token for a that r asks for, a kept one if tokens are kept.
func (m *ManagedIdentityEndpoint) token(a *account, r *http.Request) (string, time.Time, error) {
	resource := r.Form.Get("resource")
	m.mu.Lock()
	defer m.mu.Unlock() // signing takes a millisecond
	key := a.ClientID + " " + resource
	if kept, ok := m.kept[key]; ok && m.entra.clock.now().Before(kept.expires) {
		return kept.token, kept.expires, nil
	}
	token, expires, err := m.entra.issue(a.Principal, resource, byAssertion, stampTime(r), m.lifetime)
	if err == nil && m.kept != nil {
		m.kept[key] = keptToken{token, expires}
	}
	return token, expires, err
}
