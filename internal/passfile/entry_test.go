package passfile

import (
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/azurepg/azurepg"
)

func TestLinesAreEscapedAsLibpqReadsThem(t *testing.T) {
	for _, test := range []struct{ name, host, database, user, want string }{
		{"plain", "mydb.postgres.database.azure.com", "shop", "app", `mydb.postgres.database.azure.com:5433:shop:app:`},
		{"any database", "h", "", "app", `h:5433:*:app:`},
		{"IPv6", "2001:db8::1", "shop", "app", `2001\:db8\:\:1:5433:shop:app:`},
		{"colons and backslashes", "h", `a:b\c`, `x\:y`, `h:5433:a\:b\\c:x\\\:y:`},
		{"a star that is a name", "h", "*", "*", `h:5433:\*:\*:`},
		{"a guest", "h", "shop", "alice_fabrikam.com#EXT#@contoso.onmicrosoft.com", `h:5433:shop:alice_fabrikam.com#EXT#@contoso.onmicrosoft.com:`},
	} {
		s := &source{hosts: []azurepg.Host{{Name: test.host, Port: 5433}}, database: test.database, user: test.user, token: &azcore.AccessToken{Token: `to:k\en`}}
		got, err := render([]*source{s})
		if want := marker + "\n" + test.want + `to\:k\\en` + "\n"; err != nil || got != want {
			t.Errorf("%s: %v,\n%s want\n%s", test.name, err, got, want)
		}
	}
}

func TestEachHostOfEachDSNHasALine(t *testing.T) {
	two := &source{hosts: []azurepg.Host{{Name: "a"}, {Name: "b", Port: 6432}, {Name: "a", Addr: "127.0.0.2"}}, user: "u", token: &azcore.AccessToken{Token: "one"}}
	other := &source{hosts: []azurepg.Host{{Name: "a"}}, user: "v", token: &azcore.AccessToken{Token: "two"}}
	unknown := &source{hosts: []azurepg.Host{{Name: "c"}}, token: &azcore.AccessToken{}}
	got, err := render([]*source{two, other, unknown})
	if want := marker + "\na:5432:*:u:one\nb:6432:*:u:one\na:5432:*:v:two\n"; err != nil || got != want {
		t.Errorf("%v,\n%s want\n%s", err, got, want)
	}
}

func TestLinesThatLibpqWouldMisreadAreRefused(t *testing.T) {
	one := &source{hosts: []azurepg.Host{{Name: "h"}}, database: "d", user: "u", token: &azcore.AccessToken{Token: "HUNTER"}}
	broken := &source{hosts: one.hosts, database: "d\nx", user: "u", token: one.token}
	for want, sources := range map[string][]*source{
		"DSN 1 and DSN 2 are for the same host":   {one, one},
		"DSN 2: a user or database with a line b": {one, broken},
	} {
		_, err := render(sources)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "HUNTER") {
			t.Errorf("got %v; want %s…", err, want)
		}
	}
}
