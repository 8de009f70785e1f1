package azurepg

import (
	"encoding/base64"
	"strings"
	"testing"
)

// fakeJWT is a token with these claims and a signature that nobody checks.
func fakeJWT(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + enc([]byte(claims)) + ".c2lnbmF0dXJl"
}

func TestUserNameFromClaims(t *testing.T) {
	const (
		userAssigned   = `"xms_mirid":"/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/app-identity"`
		systemAssigned = `"xms_mirid":"/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/vm1"`
	)
	for _, row := range []struct{ name, claims, want string }{
		{"a person", `{"upn":"alice@contoso.com"}`, "alice@contoso.com"},
		{"a guest", `{"unique_name":"alice_fabrikam.com#EXT#@contoso.onmicrosoft.com"}`, "alice_fabrikam.com#EXT#@contoso.onmicrosoft.com"},
		{"a version 2 token", `{"preferred_username":"bob@contoso.com"}`, "bob@contoso.com"},
		{"upn before the others", `{"unique_name":"c","preferred_username":"b","upn":"a"}`, "a"},
		{"a user-assigned identity", `{"oid":"1","appid":"2",` + userAssigned + `}`, "app-identity"},
		{"a user-assigned identity in other case", `{"xms_mirid":"/x/providers/microsoft.managedidentity/userassignedidentities/id1"}`, "id1"},
		{"a system-assigned identity", `{"oid":"1","appid":"2",` + systemAssigned + `}`, ""},
		{"a system-assigned identity hides no upn", `{"upn":"a@b",` + systemAssigned + `}`, "a@b"},
		{"a service principal", `{"oid":"1","appid":"2","idtyp":"app"}`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, ok := readClaims(fakeJWT(row.claims))
			if !ok {
				t.Fatal("not read")
			}
			if got := c.userName(); got != row.want {
				t.Errorf("userName() = %q; want %q", got, row.want)
			}
		})
	}
}

func TestClaimsOfWhatIsNoToken(t *testing.T) {
	for _, token := range []string{"", "opaque", "a.b", "a.b.c", "..", "eyJ.!!!.x", "a." + base64.RawURLEncoding.EncodeToString([]byte("[]")) + ".c"} {
		if c, ok := readClaims(token); ok || c.userName() != "" {
			t.Errorf("readClaims(%q) = %+v, %v; want none", token, c, ok)
		}
	}
}

func TestDescriptionOfClaimsIsOneSafeLine(t *testing.T) {
	c, _ := readClaims(fakeJWT(`{"idtyp":"app","appid":"a\nb","oid":"` + strings.Repeat("o", 500) + `","tid":"t"}`))
	got := c.describe()
	if strings.ContainsAny(got, "\n\r") || len(got) > 400 {
		t.Errorf("describe() = %q; want one line, cut", got)
	}
	for _, part := range []string{`application "a\nb"`, `object id "ooo`, `tenant "t"`} {
		if !strings.Contains(got, part) {
			t.Errorf("describe() = %s; want %s in it", got, part)
		}
	}
}
