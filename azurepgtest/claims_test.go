package azurepgtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestTokenSaysWhatItsPrincipalIs(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	app, user := s.AddServicePrincipal("app"), s.AddUser("alice@contoso.com")
	guest := s.AddUser("bob_smith_fabrikam.com#EXT#@contoso.onmicrosoft.com")
	assigned, machine := s.AddManagedIdentity("identity"), s.AddSystemIdentity("vm")
	group := s.AddGroup("group", user, app)
	tests := []struct {
		name   string
		who    *azurepgtest.Principal
		has    map[string]any
		hasNot []string
	}{
		{"application", app, map[string]any{"idtyp": "app", "appid": app.ClientID, "sub": app.ObjectID, "ver": "1.0"}, []string{"upn", "scp", "xms_mirid"}},
		{"user", user, map[string]any{"upn": user.UPN, "unique_name": user.UPN, "scp": "user_impersonation", "acct": 0.0}, []string{"idtyp", "xms_mirid", "idp", "email"}},
		{"guest", guest, map[string]any{"unique_name": "bob_smith@fabrikam.com", "email": "bob_smith@fabrikam.com", "acct": 1.0, "tid": guest.TenantID}, []string{"upn", "idtyp"}},
		{"user-assigned", assigned, map[string]any{"idtyp": "app", "xms_mirid": assigned.ResourceID}, []string{"upn", "groups"}},
		{"system-assigned", machine, map[string]any{"idtyp": "app", "xms_mirid": machine.ResourceID, "xms_az_rid": machine.ResourceID}, []string{"upn"}},
	}
	for _, tt := range tests {
		claims := claimsOf(t, s.Entra.Mint(tt.who, nil))
		for name, want := range tt.has {
			if claims[name] != want {
				t.Errorf("%s: %s is %v; want %v", tt.name, name, claims[name], want)
			}
		}
		for _, name := range tt.hasNot {
			if value, ok := claims[name]; ok {
				t.Errorf("%s: %s is %v; want none", tt.name, name, value)
			}
		}
	}
	if groups, _ := claimsOf(t, s.Entra.Mint(user, nil))["groups"].([]any); len(groups) != 1 || groups[0] != group.ObjectID {
		t.Errorf("groups are %v; want %v", groups, group.ObjectID)
	}
	if got, _ := claimsOf(t, s.Entra.Mint(assigned, nil))["xms_az_rid"].(string); !strings.Contains(got, "/Microsoft.Compute/virtualMachines/") {
		t.Errorf("a user-assigned identity is asked for by %q; want a machine", got)
	}
	if got, _ := claimsOf(t, s.Entra.Mint(guest, nil))["idp"].(string); !strings.HasPrefix(got, "https://sts.windows.net/") || strings.Contains(got, guest.TenantID) {
		t.Errorf("a guest is vouched for by %q; want the tenant at home", got)
	}
}

func TestTokenNamesTwoHundredGroupsAtMost(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	user, app := s.AddUser("alice@contoso.com"), s.AddServicePrincipal("app")
	for i := range 200 {
		s.AddGroup(fmt.Sprint("group ", i), user, app)
	}
	if groups, _ := claimsOf(t, s.Entra.Mint(user, nil))["groups"].([]any); len(groups) != 200 {
		t.Errorf("the token names %d groups; want 200", len(groups))
	}
	s.AddGroup("one more", user, app)
	for who, path := range map[*azurepgtest.Principal]string{user: "/users/", app: "/servicePrincipals/"} {
		claims := claimsOf(t, s.Entra.Mint(who, nil))
		source, _ := claims["_claim_sources"].(map[string]any)["src1"].(map[string]any)
		want := "https://graph.windows.net/" + who.TenantID + path + who.ObjectID + "/getMemberObjects"
		if claims["groups"] != nil || source["endpoint"] != want {
			t.Errorf("%s: groups are %v, to be asked for at %v; want none, %s", who.Kind, claims["groups"], source["endpoint"], want)
		}
	}
}
