package azurepgtest

// Cloud names one of Azure's clouds, in the words of azurepg's azure_cloud key. The
// zero value is Public.
type Cloud string

// The clouds whose database audiences [Postgres] knows.
const (
	Public       Cloud = "public"
	USGovernment Cloud = "usgovernment"
	China        Cloud = "china"
)

// audiences are the resources whose tokens a server of this cloud takes, the usual
// one first; nil for an unknown cloud.
//
// Source: azure-cli core/cloud.py (ossrdbms_resource_id) and the documentation of
// Azure Cosmos DB for PostgreSQL, read 2026-11.
func (c Cloud) audiences() []string {
	switch c {
	case "", Public:
		return []string{"https://ossrdbms-aad.database.windows.net", "https://token.postgres.cosmos.azure.com"}
	case USGovernment:
		return []string{"https://ossrdbms-aad.database.usgovcloudapi.net"}
	case China:
		return []string{"https://ossrdbms-aad.database.chinacloudapi.cn"}
	}
	return nil
}

// authorityHosts are the names under which Entra answers; the fake's certificate
// carries them all. Source: aadTrustedHostList in MSAL Go 1.10.
var authorityHosts = []string{
	"login.microsoftonline.com",
	"login.microsoft.com",
	"login.windows.net",
	"sts.windows.net",
	"login.microsoftonline.us",
	"login.usgovcloudapi.net",
	"login.chinacloudapi.cn",
	"login.partner.microsoftonline.cn",
}
