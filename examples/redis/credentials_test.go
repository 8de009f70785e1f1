package main

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestHelloLogsInByEachKindOfCredential(t *testing.T) {
	for name, add := range map[string]func(*azurepgtest.Server, string) (*azurepgtest.Principal, map[string]string){
		"environment": func(azure *azurepgtest.Server, name string) (*azurepgtest.Principal, map[string]string) {
			p := azure.AddServicePrincipal(name)
			return p, map[string]string{"AZURE_CLIENT_ID": p.ClientID, "AZURE_CLIENT_SECRET": p.Secret}
		},
		"client_certificate": func(azure *azurepgtest.Server, name string) (*azurepgtest.Principal, map[string]string) {
			p := azure.AddServicePrincipal(name)
			return p, map[string]string{"AZURE_CLIENT_ID": p.ClientID, "AZURE_CLIENT_CERTIFICATE_PATH": p.CertificateFile}
		},
		"workload_identity": func(azure *azurepgtest.Server, name string) (*azurepgtest.Principal, map[string]string) {
			p := azure.AddManagedIdentity(name)
			return p, map[string]string{"AZURE_CLIENT_ID": p.ClientID, "AZURE_FEDERATED_TOKEN_FILE": p.FederatedTokenFile}
		},
		"managed_identity": func(azure *azurepgtest.Server, name string) (*azurepgtest.Principal, map[string]string) {
			p := azure.AddManagedIdentity(name)
			return p, map[string]string{"AZURE_CLIENT_ID": p.ClientID}
		},
		"azure_cli": func(azure *azurepgtest.Server, name string) (*azurepgtest.Principal, map[string]string) {
			p := azure.AddUser(strings.ReplaceAll(name, "/", ".") + "@contoso.com")
			return p, map[string]string{"PATH": azure.AzureCLI(p).Dir + string(os.PathListSeparator) + os.Getenv("PATH")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t, "")
			principal, env := add(p.azure, t.Name()+" identity")
			if err := p.front.Grant(t.Context(), principal.ObjectID, "~* &* +@all"); err != nil {
				t.Fatal(err)
			}
			settings := map[string]string{"AZURE_CREDENTIAL": name, "AZURE_CLIENT_ID": "", "AZURE_CLIENT_SECRET": ""}
			maps.Copy(settings, env)
			for key, value := range settings {
				t.Setenv(key, value)
			}
			if err := run(t.Context(), []string{"hello"}, p.output, p.logger); err != nil {
				t.Fatal(err)
			}
			if want := "Hello, Redis, says " + principal.ObjectID + "\n"; !strings.HasSuffix(p.output.String(), want) {
				t.Errorf("it printed %q; want %q at the end", p.output, want)
			}
		})
	}
}
