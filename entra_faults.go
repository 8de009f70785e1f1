package azurepg

import "net/http"

// credentialFault is a failure of a credential for which Entra gave no code. It
// is known by the credential, the HTTP status or the words of the error.
type credentialFault struct {
	explanation
	credential string   // only of this one; empty: of any, and of a chain
	status     int      // of the answer; 0: any, or none
	words      *pattern // in the text of the error; nil: any
	retry      bool
	ends       bool // a chain with it: those behind would have met the same
}

// stopsChain reports whether the fault is of the way to the token service, or of that,
// and not that one credential has nothing to log in with.
func (f *credentialFault) stopsChain() bool { return f.retry || f.ends }

func (f *credentialFault) fits(credential string, status int, text string) bool {
	return (f.credential == "" || f.credential == credential) &&
		(f.status == 0 || f.status == status) &&
		(f.words == nil || f.words.regexp().MatchString(text))
}

// credentialFaultOf returns the first row that fits; the empty one if none does.
func credentialFaultOf(credential string, status int, text string) *credentialFault {
	for i := range credentialFaults {
		if f := &credentialFaults[i]; f.fits(credential, status, text) {
			return f
		}
	}
	return &credentialFault{}
}

const (
	webhookAdvice = "on AKS the workload identity webhook sets the variables and mounts the file: label the pod azure.workload.identity/use=true, name its service account, and start it anew"
	assignAdvice  = "check that this identity is assigned to the machine, app or pod, and azure_client_id if it is user-assigned"
)

// The first row that fits counts.
//
// Source: azidentity 1.15 (managed_identity_client.go, azure_cli_credential.go,
// developer_credential_util.go, workload_identity.go), and the error texts of net
// and crypto/tls.
var credentialFaults = []credentialFault{
	{words: &pattern{expr: `proxyconnect tcp: `}, retry: true, explanation: explanation{
		says: "proxyconnect tcp: dial tcp …", means: "the proxy cannot be reached",
		advice: "look at HTTPS_PROXY and HTTP_PROXY, and whether that proxy runs"}},
	{words: &pattern{expr: `dial tcp (127\.|\[::1\]|localhost)\S* (connect: )?connection refused`}, retry: true, explanation: explanation{
		says: "dial tcp 127.0.0.1:42356: connect: connection refused", means: "the identity endpoint of this container does not listen yet",
		advice: "try again in some seconds: the sidecar at IDENTITY_ENDPOINT starts beside the program"}},
	{words: &pattern{expr: `Attempted credentials:`}, explanation: explanation{
		says: "no credential of the chain got one: …", means: "nothing to log in with; the reason of each credential follows",
		advice: "set azure_credential to the one that is meant to work here, and its error says more; on a developer's machine run az login", readme: true}},

	{credential: credentialManaged, status: http.StatusBadRequest, explanation: explanation{
		says: "HTTP 400", means: "the endpoint knows no such identity", advice: assignAdvice}},
	{words: &pattern{expr: `system assigned identity|identity isn't assigned`}, explanation: explanation{
		says: "system assigned identity", means: "the endpoint knows no such identity", advice: assignAdvice}},
	{status: http.StatusTooManyRequests, retry: true, explanation: explanation{
		says: "HTTP 429", means: "the token service throttles this machine",
		advice: "look for programs on it that fetch tokens in a loop: one cache serves a whole process"}},
	{credential: credentialManaged, words: &pattern{expr: `dial tcp 169\.254\.169\.254|no answer within`}, retry: true, explanation: explanation{
		says: "credential managed_identity: no answer within 30s", means: "there is no identity endpoint here, or it does not answer",
		advice: "managed identities exist on Azure's machines only, and pods reach theirs through workload identity: choose another azure_credential elsewhere", readme: true}},

	{credential: credentialWorkload, words: &pattern{expr: `no such file|cannot find the (file|path)|no token file|no client ID|no tenant ID`}, explanation: explanation{
		says: "no such file", means: "the federated token file is absent", advice: webhookAdvice}},

	{credential: credentialAzureDeveloper, words: &pattern{expr: `not found on path`}, explanation: explanation{
		says: "not found on path", means: "azd is missing", advice: "install the Azure Developer CLI, or name another azure_credential"}},
	{credential: credentialAzurePowerShell, words: &pattern{expr: `not found on path|Az\.Accounts`}, explanation: explanation{
		says: "not found on path", means: "PowerShell or its Az module is missing", advice: "install PowerShell with the Az module, or name another azure_credential"}},
	{words: &pattern{expr: `not found on path`}, explanation: explanation{
		says: "not found on path", means: "az is missing", advice: "install the Azure CLI, or name another azure_credential"}},
	{words: &pattern{expr: `azd auth login`}, explanation: explanation{
		says: "azd auth login", means: "azd is logged out", advice: "run azd auth login"}},
	{words: &pattern{expr: `Connect-AzAccount`}, explanation: explanation{
		says: "Connect-AzAccount", means: "PowerShell is logged out", advice: "run Connect-AzAccount"}},
	{words: &pattern{expr: `az login`}, explanation: explanation{
		says: "Please run 'az login'", means: "az is logged out", advice: "run az login"}},

	{words: &pattern{expr: `json decode error`}, retry: true, explanation: explanation{
		says: "json decode error", means: "the answer was not Entra's", advice: "look for a proxy or a login page in the network"}},
	{words: &pattern{expr: `x509:|tls: `}, ends: true, explanation: explanation{
		says: "x509: certificate signed by unknown authority", means: "the certificate of the token service is not trusted here",
		advice: "install current CA certificates on this machine, and the proxy's if one opens TLS in between"}},
	{words: &pattern{expr: `no such host|server misbehaving`}, retry: true, explanation: explanation{
		says: "no such host", means: "the name of the token service is not found", advice: "look at the DNS of this machine, and at azure_cloud"}},
	{words: &pattern{expr: `dial tcp|i/o timeout|connection re(set|fused)|\bEOF\b`}, retry: true, explanation: explanation{
		says: "dial tcp", means: "the token service cannot be reached", advice: "look at firewall and proxy between here and login.microsoftonline.com"}},
	{words: &pattern{expr: `kept refusing for|RESPONSE 5\d\d`}, retry: true, explanation: explanation{
		says: "HTTP 503", means: "Entra, or the identity endpoint, is out of order",
		advice: "it recovers by itself; Azure's status page may know of it"}},
	{words: &pattern{expr: `no answer within`}, retry: true, explanation: explanation{
		says: "no answer within 30s (azure_token_timeout)", means: "Entra, or the tool that was asked, does not answer",
		advice: "look at the network; it recovers by itself"}},
}
