package azurepgtest_test

import (
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/testroute"
)

func TestAnotherTenantKnowsTheSameApplications(t *testing.T) {
	s := shared
	tenant := s.AddTenant()
	app, user, identity := s.AddServicePrincipal("tenants"), s.AddUser("tenants@contoso.com"), s.AddManagedIdentity("tenants' identity")
	s.AddGroup("tenants' group", app)
	oids := map[any]string{app.ObjectID: "home"}
	for name, cred := range map[string]azcore.TokenCredential{
		"secret": secretCredential(t, s, tenant, app), "certificate": certificateCredential(t, s, tenant, app), "federated": federatedCredential(t, s, tenant, app),
	} {
		token := getToken(t, cred).Token
		claims := claimsOf(t, token)
		oids[claims["oid"]] = "other"
		if claims["tid"] != tenant || claims["iss"] != "https://sts.windows.net/"+tenant+"/" || claims["appid"] != app.ClientID || claims["groups"] != nil {
			t.Errorf("%s: the token says %v", name, claims)
		}
		if _, err := login(t.Context(), s.Postgres, app.Name, token); err == nil || s.Postgres.LastRefusal() != "another tenant" {
			t.Errorf("%s: got %v, %q; want it refused for its tenant", name, err, s.Postgres.LastRefusal())
		}
	}
	if len(oids) != 2 {
		t.Errorf("object ids are %v; want one at home and another one in the tenant", oids)
	}
	refusedWith(t, "managed identity", federatedCredential(t, s, tenant, identity), "AADSTS700016: ")

	home := getToken(t, secretCredential(t, s, app.TenantID, app)).Token
	currentUser(t, s.Postgres, app.Name, home)
	for _, tt := range []struct {
		who  *azurepgtest.Principal
		code string
	}{{app, ""}, {user, "AADSTS50020: User account 'tenants@contoso.com' "}} {
		t.Setenv("PATH", s.AzureCLI(tt.who).Dir+":"+os.Getenv("PATH"))
		cred, err := azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: tenant})
		if err != nil {
			t.Fatal(err)
		}
		if tt.code != "" {
			refusedWith(t, "az of a user", cred, tt.code)
		} else if got := claimsOf(t, getToken(t, cred).Token)["tid"]; got != tenant {
			t.Errorf("az of an application: tid is %v; want %s", got, tenant)
		}
	}
}

func TestAnotherTenantHasDocumentsAndRoutes(t *testing.T) {
	s := shared
	tenant := s.AddTenant()
	_, body := ask(t, s, "https://login.microsoftonline.com/"+strings.ToUpper(tenant)+"/v2.0/.well-known/openid-configuration")
	if issuer := decode(t, body)["issuer"]; issuer != "https://login.microsoftonline.com/"+tenant+"/v2.0" {
		t.Errorf("issuer is %v", issuer)
	}
	if _, body = ask(t, s, "https://login.microsoftonline.com/nowhere/v2.0/.well-known/openid-configuration"); decode(t, body)["error"] != "invalid_tenant" {
		t.Errorf("a tenant that is none: got %s; want invalid_tenant", body)
	}
	_, body = ask(t, s, s.Entra.URL+"/"+tenant+"/discovery/v2.0/keys")
	if _, at := ask(t, s, s.Entra.URL+"/"+s.Entra.TenantID+"/discovery/v2.0/keys"); at != body {
		t.Error("the keys of the tenants differ")
	}

	if testroute.Lookup(tenant) == nil {
		t.Error("azurepg's credentials would not find the way to the tenant")
	}
	dsn := strings.ReplaceAll(s.DSN("tenants' app"), s.Entra.TenantID, tenant)
	db, err := sql.Open("azurepg", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.PingContext(t.Context())
	var refused *azurepg.AuthError
	if !errors.As(err, &refused) || s.Postgres.LastRefusal() != "another tenant" {
		t.Errorf("azurepg: got %v, %q; want the tenant refused by PostgreSQL", err, s.Postgres.LastRefusal())
	}
}
