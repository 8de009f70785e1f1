package azurepgtest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/azurepg/azurepg/azurepgtest"
)

func secretCredential(t *testing.T, s *azurepgtest.Server, tenant string, p *azurepgtest.Principal) azcore.TokenCredential {
	t.Helper()
	cred, err := azidentity.NewClientSecretCredential(tenant, p.ClientID, p.Secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: clientOptions(s)})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func certificateCredential(t *testing.T, s *azurepgtest.Server, tenant string, p *azurepgtest.Principal) azcore.TokenCredential {
	t.Helper()
	file, err := os.ReadFile(p.CertificateFile)
	if err != nil {
		t.Fatal(err)
	}
	certificates, key, err := azidentity.ParseCertificates(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := azidentity.NewClientCertificateCredential(tenant, p.ClientID, certificates, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: clientOptions(s)})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func federatedCredential(t *testing.T, s *azurepgtest.Server, tenant string, p *azurepgtest.Principal) azcore.TokenCredential {
	t.Helper()
	cred, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: clientOptions(s), TenantID: tenant, ClientID: p.ClientID, TokenFilePath: p.FederatedTokenFile})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// refusedWith fails unless cred gets no token, for a reason with code in it.
func refusedWith(t *testing.T, name string, cred azcore.TokenCredential, code string) {
	t.Helper()
	_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{databaseScope}})
	if err == nil || !strings.Contains(err.Error(), code) {
		t.Errorf("%s: got %v; want %s", name, err, code)
	}
}

// refused returns the server's words to a login that it must not allow.
func refused(t *testing.T, role, token string) string {
	t.Helper()
	_, err := login(t.Context(), shared.Postgres, role, token)
	return pgError(t, err).Message
}

func TestMembershipIsThatOfTheLogin(t *testing.T) {
	s := shared
	app := s.AddServicePrincipal("fickle")
	group := s.AddGroup("fickle's group")
	token := s.Entra.Mint(app, nil)
	for range 2 { // once more does no harm
		s.AddMember(group, app)
	}
	currentUser(t, s.Postgres, group.Name, token)
	if groups, _ := claimsOf(t, s.Entra.Mint(app, nil))["groups"].([]any); len(groups) != 1 || groups[0] != group.ObjectID {
		t.Errorf("a new token has groups %v; want %s", groups, group.ObjectID)
	}
	for range 2 {
		s.RemoveMember(group, app)
	}
	if got := refused(t, group.Name, token); got != `password authentication failed for user "fickle's group"` {
		t.Errorf("after RemoveMember: got %s", got)
	}
}

func TestDirectoryRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	app, identity, group := s.AddServicePrincipal("app"), s.AddManagedIdentity("identity"), s.AddGroup("group")
	gone := s.AddServicePrincipal("gone")
	s.Recreate(gone)
	for _, tt := range []struct {
		name string
		do   func()
		want string
	}{
		{"rename to a name that is taken", func() { s.Rename(app, "group") }, `there is a principal "group" already`},
		{"rename a resource", func() { s.Rename(identity, "other") }, "Azure renames none"},
		{"rename the one before", func() { s.Rename(gone, "other") }, `"gone" is not in the directory`},
		{"recreate the one before", func() { s.Recreate(gone) }, `"gone" is not in the directory`},
		{"member of no group", func() { s.AddMember(app, identity) }, `there is no group "app"`},
		{"member that is gone", func() { s.AddMember(group, gone) }, `there is no principal "gone"`},
	} {
		func() {
			defer func() {
				err, _ := recover().(error)
				if err == nil || !strings.HasPrefix(err.Error(), "azurepgtest: ") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: got %v; want %s", tt.name, err, tt.want)
				}
			}()
			tt.do()
		}()
	}
}
