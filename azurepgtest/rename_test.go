package azurepgtest_test

import (
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

func TestRenamedPrincipalKeepsItsRole(t *testing.T) {
	s := shared
	maiden, married := "maiden name "+rand.Text(), "married name "+rand.Text() // free in every run
	app := s.AddServicePrincipal(maiden)
	renamed := s.Rename(app, married)
	if renamed.Name != married || renamed.ObjectID != app.ObjectID || renamed.Secret != app.Secret || app.Name != maiden {
		t.Errorf("got %+v; want another name alone", renamed)
	}
	token := getToken(t, secretCredential(t, s, app.TenantID, app)).Token
	currentUser(t, s.Postgres, maiden, token)
	if got := refusalOf(t, married, token); got != `password authentication failed for user "`+married+`"` {
		t.Errorf("the new name, which is no role: got %s", got)
	}
	if dsn := s.DSN(maiden); !strings.Contains(dsn, app.ClientID) {
		t.Error("the DSN of the role is not that of the renamed principal")
	}
	if s.AddServicePrincipal(married) != renamed {
		t.Error("AddServicePrincipal does not know the new name")
	}
	if err := s.Postgres.AddRole(t.Context(), married, renamed); err != nil {
		t.Fatal(err)
	}
	currentUser(t, s.Postgres, married, token)
	if heir := s.AddServicePrincipal(maiden); heir.ObjectID == app.ObjectID {
		t.Error("the old name is not free for another principal")
	}
}

func TestRenamedUserHasTheNewNameInTokens(t *testing.T) {
	s := shared
	maiden, married := "maiden"+rand.Text()+"@contoso.com", "married"+rand.Text()+"@contoso.com" // free in every run
	weddings := "weddings " + rand.Text()
	user := s.AddUser(maiden)
	group := s.AddGroup(weddings, user)
	az := s.AzureCLI(user)
	renamed := s.Rename(user, married)
	s.Rename(group, "marriages of "+weddings)
	t.Setenv("PATH", az.Dir+":"+os.Getenv("PATH"))
	cred, err := azidentity.NewAzureCLICredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	token := getToken(t, cred).Token
	if got := claimsOf(t, token)["upn"]; got != married || renamed.UPN != got {
		t.Errorf("upn is %v, of the principal %s; want the new one", got, renamed.UPN)
	}
	currentUser(t, s.Postgres, maiden, token)
	currentUser(t, s.Postgres, weddings, token) // still a member, of a group that has a new name too
}

func TestRecreatedPrincipalIsAnotherOne(t *testing.T) {
	s := shared
	app := s.AddServicePrincipal("phoenix")
	group := s.AddGroup("phoenix' group", app)
	before := getToken(t, secretCredential(t, s, app.TenantID, app)).Token
	fresh := s.Recreate(app)
	if fresh.Name != app.Name || fresh.ObjectID == app.ObjectID || fresh.ClientID == app.ClientID || fresh.Secret == app.Secret {
		t.Errorf("got %+v; want the name alone to be the same", fresh)
	}
	for name, cred := range map[string]azcore.TokenCredential{
		"secret": secretCredential(t, s, app.TenantID, app), "certificate": certificateCredential(t, s, app.TenantID, app), "federated": federatedCredential(t, s, app.TenantID, app),
	} {
		refusedWith(t, "old "+name, cred, "AADSTS700016: Application with identifier '"+app.ClientID+"' was not found")
	}
	currentUser(t, s.Postgres, "phoenix", before) // good until its end
	if got := refusalOf(t, group.Name, before); !strings.HasPrefix(got, "password authentication failed") {
		t.Errorf("the old one as the group: got %s", got)
	}
	for name, cred := range map[string]azcore.TokenCredential{
		"secret": secretCredential(t, s, app.TenantID, fresh), "certificate": certificateCredential(t, s, app.TenantID, fresh), "federated": federatedCredential(t, s, app.TenantID, fresh),
	} {
		token := getToken(t, cred).Token
		if got := refusalOf(t, "phoenix", token); got != "Service Principal oid mismatch for role[phoenix]" {
			t.Errorf("new %s: got %s", name, got)
		}
		if got := refusalOf(t, group.Name, token); !strings.HasPrefix(got, "password authentication failed") {
			t.Errorf("new %s as the group: got %s", name, got)
		}
	}
	if dsn, err := url.Parse(s.DSN("phoenix")); err != nil || dsn.Query().Get("azure_client_id") != fresh.ClientID || s.AddServicePrincipal("phoenix") != fresh {
		t.Error("DSN and AddServicePrincipal do not give the new one")
	}
	if err := s.Postgres.AddRole(t.Context(), "phoenix", fresh); err != nil {
		t.Fatal(err)
	}
	currentUser(t, s.Postgres, "phoenix", s.Entra.Mint(fresh, nil))
	if got := refusalOf(t, "phoenix", before); got != "Service Principal oid mismatch for role[phoenix]" {
		t.Errorf("the old one after AddRole: got %s", got)
	}
}

func TestRecreatedUsersIdentitiesAndGroupsAreOthersToo(t *testing.T) {
	s := shared
	user, identity := s.AddUser("phoenix@contoso.com"), s.AddManagedIdentity("phoenix' identity")
	group := s.AddGroup("recreated group", user)
	az := s.AzureCLI(user)
	token := s.Entra.Mint(user, nil)
	freshGroup := s.Recreate(group)
	if got := refusalOf(t, group.Name, token); !strings.HasPrefix(got, "password authentication failed") {
		t.Errorf("a member of the old group: got %s", got)
	}
	s.AddMember(freshGroup, user)
	if err := s.Postgres.AddRole(t.Context(), group.Name, freshGroup); err != nil {
		t.Fatal(err)
	}
	currentUser(t, s.Postgres, group.Name, token)

	freshUser := s.Recreate(user)
	if got := refusalOf(t, user.Name, s.Entra.Mint(freshUser, nil)); got != `password authentication failed for user "phoenix@contoso.com"` {
		t.Errorf("a user: got %s", got)
	}
	t.Setenv("PATH", az.Dir+":"+os.Getenv("PATH"))
	cred, err := azidentity.NewAzureCLICredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "az of the old user", cred, "AADSTS50034: ")

	freshIdentity := s.Recreate(identity)
	if freshIdentity.ResourceID != identity.ResourceID || freshIdentity.ClientID == identity.ClientID {
		t.Errorf("got %+v; want the resource id alone to be the same", freshIdentity)
	}
	if response, body := askIMDS(t, s, "&client_id="+identity.ClientID); response.StatusCode != 400 || !strings.Contains(body, "Identity not found") {
		t.Errorf("the old identity: got %d %s", response.StatusCode, body)
	}
	_, body := askIMDS(t, s, "&client_id="+freshIdentity.ClientID)
	if got := refusalOf(t, identity.Name, decode(t, body)["access_token"].(string)); !strings.HasPrefix(got, "Service Principal oid mismatch") {
		t.Errorf("the new identity: got %s", got)
	}
}
