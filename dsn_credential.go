package azurepg

import (
	"slices"
	"strings"
)

// credentialKeys says which of the azure_ keys each credential uses. It is a list
// and no map, for the order in error texts.
var credentialKeys = []struct {
	name string
	keys []string
}{
	{credentialDefault, []string{"azure_tenant_id"}},
	{credentialEnvironment, nil},
	{credentialWorkload, []string{"azure_tenant_id", "azure_client_id", "azure_federated_token_file"}},
	{credentialManaged, managedIdentityKeys},
	{credentialSecret, []string{"azure_tenant_id", "azure_client_id", "azure_client_secret"}},
	{credentialCertificate, []string{"azure_tenant_id", "azure_client_id", "azure_client_certificate_path", "azure_client_certificate_password"}},
	{credentialAzureCLI, []string{"azure_tenant_id"}},
	{credentialAzureDeveloper, []string{"azure_tenant_id"}},
	{credentialAzurePowerShell, []string{"azure_tenant_id"}},
}

// managedIdentityKeys name a user-assigned identity; azidentity takes one of them.
var managedIdentityKeys = []string{"azure_client_id", "azure_managed_identity_resource_id", "azure_managed_identity_object_id"}

func credentialNames() []string {
	names := make([]string, len(credentialKeys))
	for i, c := range credentialKeys {
		names[i] = c.name
	}
	return names
}

// credentialsWith returns the credentials that use key.
func credentialsWith(key string) []string {
	var names []string
	for _, c := range credentialKeys {
		if slices.Contains(c.keys, key) {
			names = append(names, c.name)
		}
	}
	return names
}

// checkCredential refuses what the credential would not use: who gives a client id
// to the default credential expects it to matter.
func checkCredential(c *Config) error {
	given := c.Credential != nil || c.Tokens != nil
	switch {
	case c.Credential != nil && c.Tokens != nil:
		return dsnErrorf("azure_credential", "Config.Credential and Config.Tokens are both set: set one of them")
	case given && c.AzureCredential != "":
		return dsnErrorf("azure_credential", "Config.Credential or Config.Tokens takes its place: leave one out")
	case !given && c.AzureCredential == "":
		c.AzureCredential = defaultCredential
	}
	identities := 0
	for _, k := range dsnKeys {
		if k.kind != kindIdentity && k.kind != kindSecret || k.get(c) == "" {
			continue
		}
		users := credentialsWith(k.name)
		switch {
		case given:
			return dsnErrorf(k.name, "Config.Credential or Config.Tokens takes its place: leave one out")
		case !slices.Contains(users, c.AzureCredential):
			hint := ""
			if k.name == "azure_client_id" && c.AzureCredential == credentialDefault {
				hint = ", or set AZURE_CLIENT_ID, which the default one reads"
			}
			return dsnErrorf(k.name, "azure_credential=%s does not use it; it is for azure_credential=%s%s", c.AzureCredential, orList(users), hint)
		case c.AzureCredential == credentialManaged:
			if identities++; identities > 1 {
				return dsnErrorf(k.name, "only one of %s can name the managed identity", strings.Join(managedIdentityKeys, ", "))
			}
		}
	}
	return nil
}
