package azurepgtest

import "net/http"

// Paths of the endpoints that hand tokens to managed identities.
const (
	appServicePath = "/msi/token"
	imdsPath       = "/metadata/identity/oauth2/token"
)

// writeStatus answers with an HTTP status for which the request is not to blame, in the
// words of the endpoint that was asked.
//
// Sources, read 2026-11: AzureAD/microsoft-authentication-library-for-dotnet#2855 (Entra,
// 429), Azure/azure-sdk-for-net#44685 (App Service, 500), hashicorp/terraform-provider-azurerm#20901
// (IMDS, 429) and learn.microsoft.com, "How to use managed identities on a VM to acquire
// an access token" (IMDS, 500). Others are not known and answered like 500.
func writeStatus(w http.ResponseWriter, r *http.Request, status int) {
	throttled := status == http.StatusTooManyRequests
	switch {
	case r.URL.Path == appServicePath:
		refuseAppService(w, status, "An unexpected error occured while fetching the AAD Token.") // sic
	case r.URL.Path == imdsPath && throttled:
		refuseIMDS(w, status, "invalid_request", "Temporarily throttled, too many requests")
	case r.URL.Path == imdsPath:
		refuseIMDS(w, status, "unknown", "Failed to retrieve token from the Active directory. For details see logs in <file path>")
	case throttled:
		http.Error(w, "Too Many Requests", status)
	default:
		e := aadsts(90033)
		e.status = status
		e.write(w, r)
	}
}

// passOn answers with an error of Entra as the endpoint does that was asked. IMDS gives
// it as it is. App Service hides it behind a 500; here it does not, so that what was
// asked for can be seen.
//
// Source: the answer of an IMDS in the tests of microsoft-authentication-library-for-dotnet,
// read 2026-11.
func (e *entraError) passOn(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == appServicePath {
		refuseAppService(w, e.status, e.text())
		return
	}
	e.write(w, r)
}

func refuseAppService(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"statusCode": status, "message": message, "correlationId": newGUID()})
}

func refuseIMDS(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]any{"error": code, "error_description": description})
}
