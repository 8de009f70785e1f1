package azurepgtest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// An entraError is an answer of the token endpoint that refuses.
type entraError struct {
	code    int    // AADSTS…
	status  int    // of HTTP
	oauth   string // "error" of RFC 6749
	message string
}

// entraErrors holds the errors this fake can give. The texts are Entra's, taken from
// its error reference and from public issues; verbs stand where it fills in values.
//
// Source: learn.microsoft.com, "Microsoft Entra authentication and authorization error
// codes", read 2026-11.
var entraErrors = map[int]entraError{
	50013:   {0, 401, "invalid_client", "Assertion failed signature validation. [Reason - The key was not found.]"},
	50020:   {0, 400, "invalid_grant", "User account '%s' from identity provider '%s' does not exist in tenant '%s' and cannot access the application '" + azureCLIClientID + "'(Microsoft Azure CLI) in that tenant. The account needs to be added as an external user in the tenant first. Sign out and sign in again with a different Azure Active Directory user account."},
	50034:   {0, 400, "invalid_grant", "The user account %s does not exist in the %s directory. To sign into this application, the account must be added to the directory."},
	50076:   {0, 400, "invalid_grant", "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '%s'."},
	70003:   {0, 400, "unsupported_grant_type", "The app requested an unsupported grant type '%s'."},
	70011:   {0, 400, "invalid_scope", "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope %s is not valid."},
	90002:   {0, 400, "invalid_request", "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."},
	90033:   {0, 503, "temporarily_unavailable", "A transient error has occurred. Please try again."},
	500011:  {0, 400, "invalid_resource", "The resource principal named %s was not found in the tenant named %s. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant."},
	700016:  {0, 400, "unauthorized_client", "Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."},
	700021:  {0, 401, "invalid_client", "Client assertion application identifier doesn't match 'client_id' parameter."},
	700024:  {0, 401, "invalid_client", "Client assertion is not within its valid time range. Current time: %s, expiry time of assertion %s."},
	700027:  {0, 401, "invalid_client", "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '%s'.]"},
	700211:  {0, 401, "invalid_client", "No matching federated identity record found for presented assertion issuer '%s'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"},
	700212:  {0, 401, "invalid_client", "No matching federated identity record found for presented assertion audience '%s'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"},
	700213:  {0, 401, "invalid_client", "No matching federated identity record found for presented assertion subject '%s'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"},
	900144:  {0, 400, "invalid_request", "The request body must contain the following parameter: '%s'."},
	1002012: {0, 400, "invalid_scope", "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."},
	7000215: {0, 401, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'."},
	7000216: {0, 401, "invalid_client", "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."},
	7000222: {0, 401, "invalid_client", "The provided client secret keys for app '%s' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds."},
}

// aadsts returns the error with the number. Values that are missing are shown as "…";
// an unknown number is an invalid_request.
func aadsts(code int, values ...any) *entraError {
	e, known := entraErrors[code]
	if !known {
		e = entraError{0, http.StatusBadRequest, "invalid_request", "The request cannot be served."}
	}
	e.code = code
	for len(values) < 3 {
		values = append(values, "…") // no text has more than three verbs
	}
	// An index keeps Sprintf from complaining of values that a text has no verb for.
	e.message = fmt.Sprintf(e.message+"%.0[3]s", values...)
	return &e
}

// text is e in one line, without the ids of the request.
func (e *entraError) text() string { return fmt.Sprintf("AADSTS%d: %s", e.code, e.message) }

// entraTime is how errors tell the time, which is UTC.
const entraTime = "2006-01-02 15:04:05Z"

// description is e with the ids of a request and its time.
func (e *entraError) description(trace, correlation, now string) string {
	return fmt.Sprintf("%s Trace ID: %s Correlation ID: %s Timestamp: %s", e.text(), trace, correlation, now)
}

// write answers with e in the shape of the token endpoint.
func (e *entraError) write(w http.ResponseWriter, r *http.Request) {
	now := stampTime(r).UTC().Format(entraTime)
	trace, correlation := newGUID(), r.Header.Get("client-request-id")
	if correlation == "" {
		correlation = newGUID()
	}
	body := map[string]any{
		"error":             e.oauth,
		"error_description": e.description(trace, correlation, now),
		"error_codes":       []int{e.code},
		"timestamp":         now,
		"trace_id":          trace,
		"correlation_id":    correlation,
		"error_uri":         fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", e.code),
	}
	if e.code == mfaRequired {
		body["suberror"] = "basic_action"
		body["claims"] = `{"access_token":{"capolids":{"essential":true,"values":["` + newGUID() + `"]}}}`
	}
	writeJSON(w, e.status, body)
}

// mfaRequired is answered with what a client needs to ask its user: a suberror and the
// claims to ask for, here those of a conditional access policy.
//
// Source: AzureAD/microsoft-authentication-library-for-js#5491, read 2026-11.
const mfaRequired = 50076

// writeJSON answers with body, in the headers that Entra's answers have.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("x-ms-request-id", newGUID())
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // an error here is the client's going away
}
