package azurepgtest

import (
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"strings"
)

// handler serves all of Entra.
func (e *Entra) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /common/discovery/instance", e.serveInstance)
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", e.inTenant(e.serveConfiguration))
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", e.inTenant(e.serveKeys))
	mux.Handle("POST /{tenant}/oauth2/v2.0/token", e.faults.wrap(e.inTenant(e.serveToken)))
	return e.log.wrap(e.clock.wrap(mux), func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token")
	})
}

// inTenant answers with AADSTS90002 unless the path names a tenant.
func (e *Entra) inTenant(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if tenant := r.PathValue("tenant"); e.directory.tenant(tenant) == "" {
			e := aadsts(90002, tenant)
			if r.Method == http.MethodGet {
				e.oauth = "invalid_tenant" // so say the documents, unlike the token endpoint
			}
			e.write(w, r)
			return
		}
		next(w, r)
	}
}

// serveInstance says where a tenant's configuration is. MSAL asks it about authority
// hosts that it does not know, such as URL.
func (e *Entra) serveInstance(w http.ResponseWriter, r *http.Request) {
	asked, err := url.Parse(r.Form.Get("authorization_endpoint"))
	if err != nil || asked.Host == "" {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_instance"})
		return
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(asked.Path, "/"), "/")
	writeJSON(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": "https://" + asked.Host + "/" + tenant + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata": []map[string]any{{
			"preferred_network": asked.Host,
			"preferred_cache":   asked.Host,
			"aliases":           []string{asked.Host},
		}},
	})
}

// serveConfiguration names the endpoints under the host that was asked, so that a
// client stays with it.
func (e *Entra) serveConfiguration(w http.ResponseWriter, r *http.Request) {
	base := "https://" + r.Host + "/" + e.directory.tenant(r.PathValue("tenant"))
	writeJSON(w, http.StatusOK, map[string]any{
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"issuer":                                base + "/v2.0",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"device_authorization_endpoint":         base + "/oauth2/v2.0/devicecode",
		"end_session_endpoint":                  base + "/oauth2/v2.0/logout",
		"cloud_instance_name":                   "microsoftonline.com",
	})
}

// serveKeys publishes the signing key, as a JSON Web Key Set (RFC 7517).
func (e *Entra) serveKeys(w http.ResponseWriter, r *http.Request) {
	key := e.currentKey()
	writeJSON(w, http.StatusOK, map[string]any{
		"keys": []map[string]any{{
			"kty": "RSA",
			"use": "sig",
			"kid": key.id,
			"x5t": key.id,
			"n":   base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e":   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		}},
	})
}
