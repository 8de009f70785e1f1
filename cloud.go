package azurepg

import (
	"errors"
	"strings"
)

// azureDomains are the domains under which Azure runs PostgreSQL.
// Sources: azure-cli core/cloud.py; the private DNS zones of Azure Private Link.
// The Cosmos names of the national clouds are formed by analogy: no page of
// Microsoft's was found, and all they do is demand verify-full.
var azureDomains = []struct {
	domain, cloud string
	cosmos        bool
}{
	{"postgres.database.azure.com", cloudPublic, false},
	{"postgres.cosmos.azure.com", cloudPublic, true},
	{"postgres.database.usgovcloudapi.net", cloudUSGovernment, false},
	{"postgres.cosmos.azure.us", cloudUSGovernment, true},
	{"postgres.database.chinacloudapi.cn", cloudChina, false},
	{"postgres.cosmos.azure.cn", cloudChina, true},
}

// azureHost says whose server a host name is, if Azure's.
func azureHost(name string) (cloud string, cosmos bool, ok bool) {
	name = strings.TrimSuffix(asciiLower(name), ".")
	for _, d := range azureDomains {
		if name == d.domain || strings.HasSuffix(name, "."+d.domain) {
			return d.cloud, d.cosmos, true
		}
	}
	return "", false, false
}

const cosmosScope = "https://token.postgres.cosmos.azure.com/.default"

// databaseScopes are those of Azure Database for PostgreSQL.
// Source: azure-cli core/cloud.py (ossrdbms_resource_id).
var databaseScopes = map[string]string{
	cloudPublic:       "https://ossrdbms-aad.database.windows.net/.default",
	cloudUSGovernment: "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
	cloudChina:        "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
}

// databaseScope returns the scope of the tokens for a server.
func databaseScope(cloud string, cosmos bool) string {
	if cosmos {
		return cosmosScope // no other is known for the national clouds
	}
	return databaseScopes[cloud]
}

// scopeCloud returns the cloud that a known scope belongs to alone.
func scopeCloud(scope string) string {
	for cloud, s := range databaseScopes {
		if s == scope {
			return cloud
		}
	}
	return ""
}

func knownScope(s string) bool { return s == cosmosScope || scopeCloud(s) != "" }

// checkScope is for a DSN. The two mistakes it explains are common, and get a
// token that the server refuses. Source: azure-docs#113101, azure-sdk-for-java#42632.
func checkScope(s string) error {
	trimmed := strings.TrimRight(s, "/")
	switch {
	case knownScope(s):
		return nil
	case knownScope(trimmed + "/.default"):
		return errors.New("it must end in /.default")
	case knownScope(strings.Replace(s, "//.default", "/.default", 1)):
		return errors.New("it has one / too many before .default")
	}
	return errors.New("it must be a database scope of Azure, as ParseDSN lists them; Config.Scope takes others")
}
