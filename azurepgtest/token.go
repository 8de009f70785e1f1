package azurepgtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// serveToken is the token endpoint for applications (RFC 6749, section 4.4).
func (e *Entra) serveToken(w http.ResponseWriter, r *http.Request) {
	form, tenant := r.PostForm, e.directory.tenant(r.PathValue("tenant"))
	account, how, refusal := e.authenticate(form, tenant, "https://"+r.Host+r.URL.Path)
	if refusal != nil {
		refusal.write(w, r)
		return
	}
	audience, refusal := resourceIn(form.Get("scope"), tenant)
	if refusal != nil {
		refusal.write(w, r)
		return
	}
	lifetime, refreshIn := e.lifetimes()
	token, _, err := e.issue(account.Principal.in(tenant), audience, how, stampTime(r), lifetime)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	expiresIn := int(lifetime/time.Second) - 1
	answer := map[string]any{
		"token_type":     "Bearer",
		"expires_in":     expiresIn,
		"ext_expires_in": expiresIn,
		"access_token":   token,
	}
	if refreshIn > 0 {
		answer["refresh_in"] = int(refreshIn / time.Second)
	}
	writeJSON(w, http.StatusOK, answer)
}

// authenticate returns the application that form proves itself to be, and how it did.
func (e *Entra) authenticate(form url.Values, tenant, endpoint string) (*account, string, *entraError) {
	if grant := form.Get("grant_type"); grant != "client_credentials" {
		return nil, "", aadsts(70003, grant)
	}
	clientID := form.Get("client_id")
	if clientID == "" {
		return nil, "", aadsts(900144, "client_id")
	}
	a := e.directory.withClientID(clientID)
	if a == nil || !a.knownIn(tenant) {
		return nil, "", aadsts(700016, clientID, tenant)
	}
	switch {
	case form.Get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		return a, byAssertion, e.checkAssertion(a, form.Get("client_assertion"), endpoint)
	case form.Has("client_secret"):
		return a, bySecret, e.checkSecret(a, form.Get("client_secret"))
	}
	return nil, "", aadsts(7000216)
}

func (e *Entra) checkSecret(a *account, secret string) *entraError {
	ok, expired := e.directory.checkSecret(a, secret)
	switch {
	case !ok:
		return aadsts(7000215, a.ClientID)
	case expired:
		return aadsts(7000222, a.ClientID)
	}
	return nil
}

// resourceIn returns the resource that a scope asks for: the scope without its
// "/.default". Entra knows the resources that are installed in a tenant; this one
// takes every https URL, since the same credential may serve databases, caches and
// vaults. A double slash leaves a slash at the end of the audience, as with Entra.
func resourceIn(scope, tenant string) (string, *entraError) {
	scopes := slices.DeleteFunc(strings.Fields(scope), isOpenID)
	if len(scopes) == 0 {
		return "", aadsts(900144, "scope")
	}
	if len(scopes) > 1 {
		return "", aadsts(70011, scope)
	}
	resource, isDefault := strings.CutSuffix(scopes[0], "/.default")
	if !isDefault {
		return "", aadsts(1002012, scopes[0])
	}
	if !isResource(resource) {
		return "", aadsts(500011, resource, tenant)
	}
	return resource, nil
}

// isOpenID reports whether a scope is one of those that MSAL adds to every request.
func isOpenID(scope string) bool {
	return scope == "openid" || scope == "profile" || scope == "offline_access"
}

// isResource reports whether s can be the identifier of an API.
func isResource(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != ""
}
