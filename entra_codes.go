package azurepg

// entraCode is what azurepg knows about one of Entra's error codes.
type entraCode struct {
	explanation      // without says, which is the code
	reread      bool // a new secret or certificate may already be on disk or in the environment
	retry       bool
}

const (
	checkTenant = "check azure_tenant_id (or AZURE_TENANT_ID)"
	endScope    = "it must end in /.default: leave azure_scope out"
	loginAnew   = "log in anew with the tool, for example az login"
)

// Source: Microsoft Entra authentication and authorization error codes,
// learn.microsoft.com/entra/identity-platform/reference-error-codes, read 2026-11.
var entraCodes = map[string]entraCode{
	// The application and its secret, certificate or federated token.
	"AADSTS7000215": {explanation: explanation{means: "invalid client secret", advice: "check that azure_client_secret (or AZURE_CLIENT_SECRET) is the secret's value and not its id", readme: true}, reread: true},
	"AADSTS7000222": {explanation: explanation{means: "the client secret has expired", advice: "create a new client secret for the application and deploy it", readme: true}, reread: true},
	"AADSTS700027":  {explanation: explanation{means: "the certificate's signature was refused", advice: "upload the certificate to the application registration, or deploy the one that is registered"}, reread: true},
	"AADSTS700016":  {explanation: explanation{means: "the application is unknown in this tenant", advice: "check azure_client_id and azure_tenant_id (or AZURE_CLIENT_ID and AZURE_TENANT_ID)", readme: true}},
	"AADSTS7000112": {explanation: explanation{means: "the application is disabled", advice: "let an administrator enable it in the tenant's enterprise applications"}},
	"AADSTS7000229": {explanation: explanation{means: "the application has no service principal in this tenant", advice: "let an administrator make one (az ad sp create), and check azure_tenant_id"}},
	"AADSTS50013":   {explanation: explanation{means: "the assertion's signature was refused", advice: "compare the issuer of the federated credential with that of the token, and look whether its keys can be reached"}, reread: true},
	"AADSTS700021":  {explanation: explanation{means: "the federated token was issued for another application", advice: "check azure_client_id against the federated credential"}},
	"AADSTS700024":  {explanation: explanation{means: "the federated token has expired or is not yet valid", advice: "check the clock, and that the token file is being renewed"}, reread: true},
	"AADSTS70021":   {explanation: explanation{means: "no federated credential matches the token", advice: "compare issuer, subject and audience of the federated credential with the service account; a new one takes minutes to be known"}},
	"AADSTS700211":  {explanation: explanation{means: "no federated credential matches the token's issuer", advice: "set the federated credential's issuer to the cluster's OIDC issuer URL"}},
	"AADSTS700212":  {explanation: explanation{means: "no federated credential matches the token's audience", advice: "set the federated credential's audience to api://AzureADTokenExchange"}},
	"AADSTS700213":  {explanation: explanation{means: "no federated credential matches the token's subject", advice: "set the federated credential's subject to system:serviceaccount:<namespace>:<name>"}},

	// The tenant and the scope.
	"AADSTS90002":   {explanation: explanation{means: "the tenant is unknown", advice: checkTenant + " and azure_cloud"}},
	"AADSTS900023":  {explanation: explanation{means: "the tenant id is malformed", advice: checkTenant}},
	"AADSTS500011":  {explanation: explanation{means: "the database service is unknown in this tenant", advice: "check azure_scope and azure_cloud"}},
	"AADSTS1002012": {explanation: explanation{means: "the scope is malformed", advice: endScope}},
	"AADSTS70011":   {explanation: explanation{means: "the scope is malformed", advice: endScope}},

	// A person at a tool.
	"AADSTS50076":  {explanation: explanation{means: "multi-factor authentication is demanded", advice: loginAnew + ", or use a service principal or managed identity"}},
	"AADSTS50079":  {explanation: explanation{means: "multi-factor authentication must be set up", advice: "log in interactively once, or use a service principal or managed identity"}},
	"AADSTS50078":  {explanation: explanation{means: "multi-factor authentication has expired", advice: loginAnew}},
	"AADSTS50173":  {explanation: explanation{means: "the tool's login was revoked, as by a change of password", advice: loginAnew}},
	"AADSTS70043":  {explanation: explanation{means: "the tool's login has expired, by the tenant's policy", advice: loginAnew}},
	"AADSTS700082": {explanation: explanation{means: "the tool's login has expired, unused for too long", advice: loginAnew}},
	"AADSTS53003":  {explanation: explanation{means: "a Conditional Access policy refuses the login", advice: "ask the tenant's administrator which policy it is"}},
	"AADSTS530003": {explanation: explanation{means: "a Conditional Access policy refuses this device", advice: "use a compliant device, a service principal or a managed identity"}},

	// Entra itself.
	"AADSTS90033": {explanation: explanation{means: "a temporary fault in Entra"}, retry: true},
	"AADSTS50196": {explanation: explanation{means: "too many identical requests", advice: "look for a program that fetches tokens in a loop"}, retry: true},
}
