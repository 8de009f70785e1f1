package doctor

import (
	"context"
	"encoding/base64"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/azurepg/azurepg"
)

// stubResolver knows these names.
type stubResolver map[string]struct {
	cname string
	addrs []string
	err   error
}

func (r stubResolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	known, ok := r[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addrs []netip.Addr
	for _, a := range known.addrs {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, known.err
}

func (r stubResolver) LookupCNAME(_ context.Context, host string) (string, error) {
	if r[host].cname == "" {
		return host + ".", nil
	}
	return r[host].cname + ".", nil
}

func TestNamesLeadToTheirAddresses(t *testing.T) {
	const azure = "mydb.postgres.database.azure.com"
	names := stubResolver{
		azure:     {cname: "mydb.privatelink.postgres.database.azure.com", addrs: []string{"10.0.0.4"}},
		"public":  {addrs: []string{"203.0.113.9", "2001:db8::1", "::ffff:203.0.113.9"}},
		"failing": {err: &net.DNSError{Err: "server misbehaving", Name: "failing"}},
	}
	for _, row := range []struct {
		name, hosts string
		status      Status
		want        []string // in the text
	}{
		{"private link", azure, OK, []string{azure + " cname", "mydb.privatelink.postgres.database.azure.com", "10.0.0.4, private", "private_link  yes"}},
		{"several addresses, each once", "public", OK, []string{"203.0.113.9, public\n    public address  2001:db8::1, public\n"}},
		{"an IP address", "192.0.2.1", OK, []string{"192.0.2.1 address  public"}},
		{"unknown", "absent", Failed, []string{"problem: lookup absent: no such host", "cure: the server's name is not found here: check host; a server with private access"}},
		{"the name server fails", "failing", Failed, []string{"server misbehaving", "cure: the name server that this machine asks has no answer"}},
		{"one of two", "absent,public", Warning, []string{"cure: the server's name is not found here"}},
		{"none of two", "absent,missing", Failed, []string{"problem: lookup absent: no such host; lookup missing: no such host"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg, err := azurepg.ParseDSN("host=" + row.hosts)
			if err != nil {
				t.Fatal(err)
			}
			x := newExamination(nil)
			x.cfg, x.resolver = cfg, names
			x.step(StepDNS, func(s *Step) error { return x.resolve(t.Context(), s) })
			text := x.report.String()
			if got := x.report.Steps[0].Status; got != row.status {
				t.Errorf("%s; want %s:\n%s", got, row.status, text)
			}
			for _, want := range row.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s\nlacks %q", text, want)
				}
			}
		})
	}
}

// A hostaddr is dialled and nobody is asked for the name.
func TestHostaddrNeedsNoName(t *testing.T) {
	cfg, err := azurepg.ParseDSN("host=absent hostaddr=192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	x := newExamination(nil)
	x.cfg, x.resolver = cfg, stubResolver{}
	if err := x.resolve(t.Context(), &Step{}); err != nil || len(x.targets) != 1 || x.targets[0].of() != "absent at 192.0.2.1:5432" {
		t.Errorf("got %v, %v; want the address", x.targets, err)
	}
}

func TestTokenThatPgBouncerCannotTakeIsWarnedOf(t *testing.T) {
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"oid":"o","upn":"a\u001b[31mb","groups":"` + strings.Repeat("g", 2000) + `"}`))
	for _, row := range []struct {
		token, port string
		status      Status
		want        string
	}{
		{"e30." + payload + ".x", "6432", Warning, "use port 5432"},
		{"e30." + payload + ".x", "5432", OK, "a [31mb"},
		{"opaque", "6432", Warning, "cannot be read"},
	} {
		cfg, err := azurepg.ParseDSN("host=h port=" + row.port)
		if err != nil {
			t.Fatal(err)
		}
		x := newExamination(nil)
		x.cfg, x.token, x.tokens = cfg, row.token, azurepg.NewTokenCache(nil, nil)
		x.step(StepToken, x.readToken)
		if s := x.report.Steps[0]; s.Status != row.status || !strings.Contains(s.String(), row.want) || strings.Contains(s.String(), row.token) {
			t.Errorf("port %s: got %s; want %s with %s", row.port, s, row.status, row.want)
		}
	}
}

func TestChainIsNarrowedByTheVariable(t *testing.T) {
	for selected, want := range map[string]string{"": "012345", "dev": "345", "prod": "012", "azureclicredential": "3", "ManagedIdentityCredential": "2"} {
		got := ""
		for i := range chain {
			if inChain(i, selected) {
				got += string(rune('0' + i))
			}
		}
		if got != want {
			t.Errorf("%q: got %s; want %s", selected, got, want)
		}
	}
}
