package doctor_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/doctor"
)

func TestNoConnectionLeftIsExplained(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	s.Postgres.SetMaxConnections(1)
	c := connect(t, s.DSN("app"))
	defer c.Close()
	if got := examine(t, s, s.DSN("app")).FirstFailure(); got == nil || got.Name != "login" || finding(*got, "sqlstate") != "53300" || !strings.Contains(got.Cure, "SetMaxOpenConns") {
		t.Errorf("got %+v; want a login without a connection left", got)
	}
}

func connect(t *testing.T, dsn string) interface{ Close() error } {
	t.Helper()
	conn, err := azurepg.Driver{}.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestStandbyIsWarnedOfUnlessItIsWanted(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	good := s.DSN("app")
	standby, err := s.Postgres.AddStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to := func(attrs string) doctor.Step {
		return step(t, examine(t, s, with(t, good, "host", standby.Addr(), "target_session_attrs", attrs)), "server")
	}
	if got := to("any"); got.Status != doctor.Warning || finding(got, "in_recovery") != "true" || !strings.Contains(got.Cure, "read-write") {
		t.Errorf("got %+v; want a warning", got)
	}
	if got := to("standby"); got.Status != doctor.OK || finding(got, "in_recovery") != "true" {
		t.Errorf("got %+v; want no warning", got)
	}
	both := with(t, good, "host", standby.Addr()+","+s.Postgres.Addr(), "target_session_attrs", "read-write")
	if got := step(t, examine(t, s, both), "server"); got.Status != doctor.OK || finding(got, "in_recovery") != "false" {
		t.Errorf("got %+v; want the primary", got)
	}
}

func TestHostThatIsDownIsAWarningWhereAnotherCanBeUsed(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	down := closedPort(t)
	r := examine(t, s, with(t, s.DSN("app"), "host", down+","+s.Postgres.Addr()))
	tcp := step(t, r, "tcp")
	if !r.OK || tcp.Status != doctor.Warning || !strings.Contains(tcp.Problem, "1 of the hosts") || !strings.Contains(tcp.Cure, "nothing listens") || !strings.Contains(finding(tcp, "error"), "refused") {
		t.Errorf("got\n%s", r)
	}
}

func TestClockThatIsWrongIsWarnedOf(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	s.Entra.Fault(azurepgtest.ClockSkew(-3 * time.Minute))
	got := step(t, examine(t, s, s.DSN("app")), "token")
	if got.Status != doctor.Warning || !strings.Contains(got.Problem, "ahead of that of the token service") || !strings.Contains(got.Cure, "NTP") {
		t.Errorf("got %+v; want a warning", got)
	}
}

func TestServerThatNobodyVerifiesIsWarnedOf(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	good := s.DSN("app")
	require := strings.Replace(good, "sslrootcert="+url.QueryEscape(s.Postgres.CAFile)+"&", "", 1)
	if got := step(t, examine(t, s, with(t, require, "sslmode", "require")), "tls"); got.Status != doctor.Warning || finding(got, "verified") != "nothing" {
		t.Errorf("got %+v; want a warning", got)
	}
	if got := step(t, examine(t, s, with(t, good, "sslmode", "verify-ca")), "tls"); got.Status != doctor.OK || finding(got, "verified") != "certificate, not the name" {
		t.Errorf("got %+v; want the certificate verified", got)
	}
}
