package doctor_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/doctor"
)

// attempts are the findings about the credentials of the chain.
func attempts(s doctor.Step) string {
	var b strings.Builder
	for _, f := range s.Findings {
		if f.Name == "attempt" {
			b.WriteString(f.Of + ": " + f.Value + "\n")
		}
	}
	return b.String()
}

func TestChainSaysWhichCredentialGaveTheToken(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	base := "host=" + s.Postgres.Host + " port=" + port(s) + " dbname=postgres sslrootcert=" + s.Postgres.CAFile

	t.Run("environment", func(t *testing.T) {
		t.Setenv("AZURE_TENANT_ID", app.TenantID)
		t.Setenv("AZURE_CLIENT_ID", app.ClientID)
		t.Setenv("AZURE_CLIENT_SECRET", app.Secret)
		r := examine(t, s, base+" user=app")
		if got := attempts(step(t, r, "credential")); !r.OK || got != "EnvironmentCredential: gave the token\n" {
			t.Errorf("got %s in\n%s", got, r)
		}
	})
	t.Run("tool", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("the fake az is a shell script")
		}
		t.Setenv("PATH", s.AzureCLI(s.AddUser("alice@contoso.com")).Dir+":/usr/bin:/bin")
		t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
		r := examine(t, s, base)
		got := attempts(step(t, r, "credential"))
		if !r.OK || strings.Count(got, "AZURE_TOKEN_CREDENTIALS leaves it out\n") != 3 || !strings.HasSuffix(got, "\nAzureCLICredential: gave the token\n") {
			t.Errorf("got %s in\n%s", got, r)
		}
		if user := finding(step(t, r, "login"), "user"); user != "alice@contoso.com" {
			t.Errorf("user %s; want the one of the token", user)
		}
	})
	t.Run("those before it say what they lack", func(t *testing.T) {
		other := azurepgtest.Start(t) // MSAL keeps tokens of managed identities for the process
		other.AddSystemIdentity("machine")
		for _, set := range other.Identity.Env() {
			name, value, _ := strings.Cut(set, "=")
			t.Setenv(name, value)
		}
		got := attempts(step(t, examine(t, other, "host="+other.Postgres.Host+" port="+port(other)+" dbname=postgres user=machine sslrootcert="+other.Postgres.CAFile), "credential"))
		for _, want := range []string{"EnvironmentCredential: Azure AD credentials are missing: ", "AZURE_CLIENT_ID", "WorkloadIdentityCredential: Azure AD credentials are missing: ", "ManagedIdentityCredential: gave the token\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("lacks %q:\n%s", want, got)
			}
		}
	})
	t.Run("none", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
		r := examine(t, s, base)
		failed := r.FirstFailure()
		if failed == nil || failed.Name != "credential" || !strings.Contains(failed.Cure, "az login") {
			t.Fatalf("got\n%s", r)
		}
		for _, name := range []string{"AzureCLICredential", "AzureDeveloperCLICredential", "AzurePowerShellCredential"} {
			if got := attempts(*failed); !strings.Contains(got, name+": ") {
				t.Errorf("%s is not among the attempts:\n%s", name, got)
			}
		}
	})
}
