package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/doctor"
	"github.com/azurepg/azurepg/internal/loopback"
)

// noAzure keeps the machine's own Azure and PostgreSQL settings out of a test.
func noAzure(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(key, "AZUREPG_") && regexp.MustCompile(`^(AZURE_|IDENTITY_|MSI_|PG)`).MatchString(key) {
			t.Setenv(key, "")
			if err := os.Unsetenv(key); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// with returns dsn, a URL, with other settings; "host", "user" and "dbname" are its parts.
func with(t *testing.T, dsn string, settings ...string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(settings); i += 2 {
		switch value := settings[i+1]; settings[i] {
		case "host":
			u.Host = value
		case "user":
			u.User = url.User(value)
		case "dbname":
			u.Path = "/" + value
		default:
			q.Set(settings[i], value)
		}
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	return u.String()
}

// examine returns the report, after a search of all forms of it for secrets of s.
func examine(t *testing.T, s *azurepgtest.Server, dsn string) *doctor.Report {
	t.Helper()
	r := doctor.Examine(t.Context(), dsn, nil)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if found := s.Leaks(r.String() + string(b) + fmt.Sprintf("%v %+v %#v", r, r, r)); found != nil {
		t.Errorf("the report shows %v", found)
	}
	for _, step := range r.Steps {
		if strings.ContainsAny(step.Problem+step.Cure, "\n{}") {
			t.Errorf("%s: %q, %q: want one filled line each", step.Name, step.Problem, step.Cure)
		}
	}
	return r
}

func step(t *testing.T, r *doctor.Report, name string) doctor.Step {
	t.Helper()
	i := slices.IndexFunc(r.Steps, func(s doctor.Step) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no step %s in\n%s", name, r)
	}
	return r.Steps[i]
}

func finding(s doctor.Step, name string) string {
	for _, f := range s.Findings {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

var allSteps = []string{doctor.StepDSN, doctor.StepDNS, doctor.StepTCP, doctor.StepTLS, doctor.StepCredential, doctor.StepToken, doctor.StepLogin, doctor.StepRole, doctor.StepServer}

func TestHealthyLoginPassesEveryStepAndIsDescribed(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	for _, sql := range []string{"create role readers", "create role writers", `grant readers, writers to app`, `alter role app connection limit 7`} {
		if err := s.Postgres.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	r := examine(t, s, s.DSN("app"))
	if !r.OK || r.FirstFailure() != nil {
		t.Fatalf("not ok:\n%s", r)
	}
	var names []string
	for _, step := range r.Steps {
		names = append(names, step.Name)
		if step.Status != doctor.OK || step.Problem+step.Cure != "" || len(step.Findings) == 0 || step.Duration <= 0 {
			t.Errorf("%+v; want it ok, with findings", step)
		}
	}
	if !slices.Equal(names, allSteps) {
		t.Errorf("steps %v; want %v", names, allSteps)
	}
	for _, want := range []struct{ step, finding, value string }{
		{"dsn", "sslmode", "verify-full"}, {"dsn", "azure_client_secret", "[redacted]"},
		{"dns", "address", ""}, {"tcp", "connect", ""},
		{"tls", "version", "TLS 1.3"}, {"tls", "verified", "certificate and name"}, {"tls", "chain", "CN=azurepgtest server ← CN=azurepgtest CA"},
		{"credential", "credential", "client_secret"},
		{"token", "aud", "https://ossrdbms-aad.database.windows.net"}, {"token", "tid", app.TenantID}, {"token", "oid", app.ObjectID}, {"token", "appid", app.ClientID},
		{"token", "lifetime", "1h5m0s"}, {"token", "clock_ahead", ""}, {"token", "length", ""},
		{"login", "user", "app"}, {"login", "address", ""},
		{"role", "member_of", "readers, writers"}, {"role", "may_connect", "true"}, {"role", "may_create_schemas", "false"}, {"role", "superuser", "false"},
		{"server", "in_recovery", "false"}, {"server", "pooler", "no"}, {"server", "max_connections", ""}, {"server", "connections_of_role", "1"},
		{"server", "max_connections_of_role", "7"}, {"server", "clock_ahead", ""},
	} {
		if got := finding(step(t, r, want.step), want.finding); got == "" || want.value != "" && got != want.value {
			t.Errorf("%s of %s: got %q; want %q", want.finding, want.step, got, want.value)
		}
	}
	if n := s.Entra.TokenRequests(); n != 1 {
		t.Errorf("%d token requests; want 1", n)
	}
	if n := s.Postgres.Logins(); n != 1 {
		t.Errorf("%d logins; want 1", n)
	}
	for end := time.Now().Add(30 * time.Second); s.Postgres.Connections() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a connection was left open")
		}
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", loopback.HeldPort(t))
}

// ill is a way for a DSN to lead nowhere.
type ill struct {
	name string
	dsn  string
	make func() // before; nil: nothing
	undo func()
	step string // that fails first
	cure string // part of its
}

func TestFirstFailingStepSaysTheCure(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	good := s.DSN("app")
	s.AddServicePrincipal("other")
	if err := s.Postgres.AddRole(t.Context(), "made-anew", s.AddServicePrincipal("someone")); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"create database private", "revoke connect on database private from public"} {
		if err := s.Postgres.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	evil := func(e azurepgtest.Evil) string {
		rec := azurepgtest.Record(t, e)
		t.Cleanup(func() {
			for _, p := range rec.Passwords() {
				t.Errorf("%s got a password of %d bytes", e, len(p))
			}
		})
		return with(t, good, "host", rec.Addr, "sslrootcert", rec.CAFile)
	}
	for _, row := range []ill{
		{name: "password", dsn: strings.Replace(good, "app@", "app:HUNTER2@", 1), step: "dsn", cure: "remove it"},
		{name: "no host", dsn: "", step: "dsn", cure: "PGHOST"},
		{name: "no roots", dsn: with(t, good, "sslrootcert", "/nowhere"), step: "dsn", cure: "does not exist"},
		{name: "closed port", dsn: with(t, good, "host", closedPort(t)), step: "tcp", cure: "nothing listens"},
		{name: "self-signed", dsn: evil(azurepgtest.SelfSigned), step: "tls", cure: "it is not in the file of sslrootcert"},
		{name: "another name", dsn: evil(azurepgtest.OtherName), step: "tls", cure: "set host to a name in the certificate"},
		{name: "expired", dsn: with(t, good, "host", expiredServer(t), "sslrootcert", expiredRoots(t)), step: "tls", cure: "renew the certificate, or set the clock"},
		{name: "no TLS", dsn: evil(azurepgtest.RefusesTLS), step: "tls", cure: "ssl = on"},
		{name: "old TLS", dsn: evil(azurepgtest.OldTLS), step: "tls", cure: "TLS 1.2"},
		{name: "no answer", dsn: with(t, evil(azurepgtest.NeverAnswers), "connect_timeout", "1"), step: "tls", cure: "firewall"},
		{name: "no secret", dsn: with(t, good, "azure_client_secret", ""), step: "credential", cure: "azure_client_secret (or AZURE_CLIENT_SECRET)"},
		{name: "wrong secret", dsn: with(t, good, "azure_client_secret", "HUNTER2"), step: "credential", cure: "the secret's value and not its id"},
		{name: "secret expired", dsn: with(t, good, "azure_token_timeout", "29s"), make: func() { s.Entra.Fault(azurepgtest.SecretExpired) }, undo: s.Entra.ClearFaults,
			step: "credential", cure: "create a new client secret"},
		{name: "no user", dsn: strings.Replace(good, "app@", "", 1), step: "login", cure: "set user"},
		{name: "unknown role", dsn: with(t, good, "user", "nobody"), step: "login", cure: "pgaadauth_create_principal_with_oid('nobody'"},
		{name: "role of another", dsn: with(t, good, "user", "made-anew"), step: "login", cure: `security label for "pgaadauth" on role "made-anew"`},
		{name: "missing database", dsn: with(t, good, "dbname", "missing"), step: "login", cure: "set the database in the DSN"},
		{name: "no CONNECT", dsn: with(t, good, "dbname", "private"), step: "login", cure: `grant connect on database "private" to "app"`},
		{name: "firewall", dsn: good, make: func() { s.Postgres.RejectBefore(true) }, undo: func() { s.Postgres.RejectBefore(false) }, step: "login", cure: "firewall rules"},
		{name: "PgBouncer", dsn: with(t, good, "user", "nobody"), make: func() { s.Postgres.SetRefusal("08P01") }, undo: func() { s.Postgres.SetRefusal("") },
			step: "login", cure: "the role is missing"},
		{name: "another kind of server", dsn: evil(azurepgtest.AsksSCRAM), step: "login", cure: "not an Entra role"},
		{name: "not a standby", dsn: with(t, good, "target_session_attrs", "standby"), step: "login", cure: "ask for another kind"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.make != nil {
				row.make()
				defer row.undo()
			}
			r := examine(t, s, row.dsn)
			got := r.FirstFailure()
			if r.OK || got == nil || got.Name != row.step || !strings.Contains(got.Cure, row.cure) {
				t.Fatalf("want step %s to fail and be cured by %s; got\n%s", row.step, row.cure, r)
			}
			text := r.String()
			if !strings.Contains(text, "✗ "+got.Name) || !strings.Contains(text, "cure: "+got.Cure) || strings.Contains(text, "HUNTER2") {
				t.Errorf("the text is\n%s", text)
			}
			if len(r.Steps) != len(allSteps) {
				t.Errorf("%d steps; want all %d", len(r.Steps), len(allSteps))
			}
			// What does not need the failed step is taken all the same.
			if c := step(t, r, "credential"); slices.Contains([]string{"tcp", "tls"}, row.step) && c.Status != doctor.OK {
				t.Errorf("credential: %+v; want it ok", c)
			}
			if l := step(t, r, "login"); row.step != "login" && l.Status != doctor.Skipped {
				t.Errorf("login: %+v; want it skipped", l)
			}
		})
	}
}

func TestConfigFromCodeIsExaminedWithItsCredential(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	cfg := &azurepg.Config{
		Hosts: []azurepg.Host{{Name: s.Postgres.Host, Port: uint16(s.Postgres.Port)}}, User: "app", Database: "postgres", SSLRootCert: s.Postgres.CAFile,
		Credential: minted(s.Entra.Mint(app, nil)),
	}
	r := doctor.ExamineConfig(t.Context(), cfg, nil)
	if found := s.Leaks(r.String()); !r.OK || found != nil || finding(step(t, r, "credential"), "credential") != "from code" {
		t.Errorf("leaks %v in\n%s", found, r)
	}
	for _, f := range step(t, r, "dsn").Findings {
		if f.Source == "DSN" || f.Name == "azure_credential" {
			t.Errorf("%+v: there is no DSN, and the credential is from code", f)
		}
	}
	if r := doctor.ExamineConfig(t.Context(), nil, nil); r.OK || r.Steps[0].Status != doctor.Failed {
		t.Errorf("nil: got\n%s", r)
	}
}

func TestExaminationEndsWithItsContext(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	s.Entra.Fault(azurepgtest.Hang)
	ctx, cancel := context.WithCancelCause(t.Context())
	dsn := s.DSN("app")
	r := doctor.Examine(ctx, dsn, func(step doctor.Step) {
		if step.Name == "tls" {
			cancel(errors.New("somebody has lost patience"))
		}
	})
	if got := r.FirstFailure(); got == nil || got.Name != "credential" {
		t.Errorf("got\n%s", r)
	}
}

// The names in JSON are a promise to whoever reads them.
func TestReportInJSONKeepsItsShape(t *testing.T) {
	r := &doctor.Report{Steps: []doctor.Step{
		{Name: "dsn", Status: doctor.OK, Duration: 1500, Findings: []doctor.Finding{{Name: "host", Value: "h", Source: "DSN"}}},
		{Name: "dns", Status: doctor.Failed, Findings: []doctor.Finding{{Name: "address", Of: "h", Value: "192.0.2.1"}}, Problem: "p", Cure: "c"},
		{Name: "tcp", Status: doctor.Skipped, Problem: "needs dns"},
	}}
	got, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != strings.TrimSpace(string(want)) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
