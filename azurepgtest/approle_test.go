package azurepgtest_test

import (
	"fmt"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestAssignedRolesAreInTokensForTheirAPIAlone(t *testing.T) {
	s := shared
	app := s.AddServicePrincipal("roles")
	const api = "https://rabbitmq.contoso.com"
	roles := func(audience string) string {
		return fmt.Sprint(claimsOf(t, s.Entra.Mint(app, &azurepgtest.MintOptions{Audience: audience}))["roles"])
	}
	s.AssignRoles(app, api, "other")
	s.AssignRoles(app, api, "read", "write")
	if got := roles(api); got != "[read write]" {
		t.Errorf("roles are %s; want those assigned last", got)
	}
	if got := roles("https://other.contoso.com"); got != "<nil>" {
		t.Errorf("a token for another API says roles %s", got)
	}
	s.AssignRoles(app, api)
	if got := roles(api); got != "<nil>" {
		t.Errorf("without roles they are %s", got)
	}
}
