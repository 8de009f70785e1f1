package azurepg_test

import (
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// hostsOf are servers as hosts of a Config.
func hostsOf(servers ...*azurepgtest.Postgres) (hosts []azurepg.Host) {
	for _, p := range servers {
		hosts = append(hosts, azurepg.Host{Name: p.Host, Port: uint16(p.Port)})
	}
	return hosts
}

// toHosts is a Config for a new principal of s and those hosts.
func toHosts(t *testing.T, s *azurepgtest.Server, role string, hosts ...azurepg.Host) *azurepg.Config {
	t.Helper()
	cfg, err := azurepg.ParseDSN(bySecret(s, s.AddServicePrincipal(role)))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Hosts = hosts
	return cfg
}

func TestEveryHostListLeadsToTheServerThatIsWanted(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	template := toHosts(t, s, "app")
	standby, err := s.Postgres.AddStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	primary := s.Postgres
	type servers = []*azurepgtest.Postgres
	both, reversed := servers{primary, standby}, servers{standby, primary}
	const none = "none"
	rows := []struct {
		attrs   string
		hosts   servers
		standby string // is it one? none: no host is good enough
	}{
		{"any", both, "false"}, {"any", reversed, "true"},
		{"read-write", both, "false"}, {"read-write", reversed, "false"}, {"read-write", servers{standby}, none},
		{"primary", both, "false"}, {"primary", reversed, "false"}, {"primary", servers{standby}, none},
		{"read-only", both, "true"}, {"read-only", reversed, "true"}, {"read-only", servers{primary}, none},
		{"standby", both, "true"}, {"standby", reversed, "true"}, {"standby", servers{primary}, none},
		{"prefer-standby", both, "true"}, {"prefer-standby", reversed, "true"}, {"prefer-standby", servers{primary}, "false"},
	}
	for _, row := range rows {
		cfg := template.Clone()
		cfg.Hosts, cfg.TargetSessionAttrs = hostsOf(row.hosts...), row.attrs
		for _, p := range pools(t, cfg) {
			got, err := p.ask(t.Context(), "select pg_is_in_recovery()::text")
			p.close()
			if row.standby == none && err == nil || row.standby != none && (err != nil || got != row.standby) {
				t.Errorf("%s of %d hosts, the first a standby: %v, %s: got %q, %v; want %s",
					row.attrs, len(row.hosts), row.hosts[0] == standby, p.name, got, err, row.standby)
			}
		}
	}
	for _, dead := range []struct {
		attrs, standby string
		end            *azurepgtest.Postgres
	}{{"prefer-standby", "false", standby}, {"any", "true", primary}} {
		if err := dead.end.Stop(); err != nil {
			t.Fatal(err)
		}
		cfg := template.Clone()
		cfg.Hosts, cfg.TargetSessionAttrs = hostsOf(dead.end, primary, standby), dead.attrs
		for _, p := range pools(t, cfg) {
			if got, err := p.ask(t.Context(), "select pg_is_in_recovery()::text"); err != nil || got != dead.standby {
				t.Errorf("%s with a dead host, %s: got %q, %v; want %s", dead.attrs, p.name, got, err, dead.standby)
			}
			p.close()
		}
		if err := dead.end.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

// Dead hosts cost their connect_timeout at most, and the next one is asked.
func TestDeadHostIsPassedOverInItsTime(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	host, port, err := net.SplitHostPort(azurepgtest.Record(t, azurepgtest.NeverAnswers).Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	blackHole, unknown := azurepg.Host{Name: host, Port: uint16(n)}, azurepg.Host{Name: "db.invalid", Port: 5432}
	template := toHosts(t, s, "dead-hosts")
	template.ConnectTimeout = 3 * time.Second // in which the living host has to answer too, on a busy machine
	for name, dead := range map[string][]azurepg.Host{
		"refusing": {refusing(t)}, "black hole": {blackHole}, "unknown name": {unknown}, "all": {unknown, blackHole, refusing(t)},
	} {
		for _, door := range loginDoors {
			t.Run(name+", "+door, func(t *testing.T) {
				t.Parallel()
				cfg := template.Clone()
				cfg.Hosts = slices.Concat(dead, hostsOf(s.Postgres))
				start := time.Now()
				if err := doors[door](t.Context(), cfg); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > 30*time.Second {
					t.Errorf("took %v; want 3 s for each dead host at most", took)
				}
			})
		}
	}
}

// refusing is a host that nobody listens at. Its port is our own end of a connection for
// the length of the test: one that is free may be given to somebody who does listen.
func refusing(t *testing.T) azurepg.Host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return azurepg.Host{Name: "127.0.0.1", Port: uint16(conn.LocalAddr().(*net.TCPAddr).Port)}
}

// waitFor polls for what no channel tells: the state of a foreign process.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within 30 s", what)
		}
	}
}
