package doctor

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/azurepg/azurepg"
)

// Examine examines what dsn leads to. each, if it is not nil, is called with each step as
// it ends. The time that a step may take is limited by ctx, and as connects and token
// fetches are by connect_timeout and azure_token_timeout.
func Examine(ctx context.Context, dsn string, each func(Step)) *Report {
	return newExamination(each).examineDSN(ctx, dsn)
}

func (x *examination) examineDSN(ctx context.Context, dsn string) *Report {
	x.step(StepDSN, func(s *Step) error {
		settings, err := azurepg.Settings(dsn)
		if err != nil {
			return err
		}
		s.addSettings(settings)
		x.cfg, err = azurepg.ParseDSN(dsn)
		return errors.Join(err, x.checkFiles())
	})
	return x.examine(ctx)
}

// ExamineConfig is Examine for a Config from code. Of a Base other than pgx it cannot tell
// whether a pooler is in between.
func ExamineConfig(ctx context.Context, cfg *azurepg.Config, each func(Step)) *Report {
	x := newExamination(each)
	x.step(StepDSN, func(s *Step) error {
		if cfg == nil {
			return &azurepg.DSNError{Key: "DSN", Err: errors.New("there is no Config")}
		}
		settings, err := settingsOf(cfg)
		s.addSettings(settings)
		x.cfg = cfg.Clone()
		return errors.Join(err, x.checkFiles())
	})
	return x.examine(ctx)
}

// settingsOf is azurepg.Settings for a Config from code.
func settingsOf(cfg *azurepg.Config) ([]azurepg.Setting, error) {
	all, err := azurepg.Settings(cfg.FormatDSN())
	var settings []azurepg.Setting
	for _, s := range all {
		identity := s.Key == "azure_credential" || strings.HasPrefix(s.Source, "AZURE_")
		if identity && (cfg.Credential != nil || cfg.Tokens != nil) {
			continue // they take its place
		}
		if s.Source == "DSN" {
			s.Source = "Config"
		}
		settings = append(settings, s)
	}
	return settings, err
}

// examination is one under way.
type examination struct {
	report   *Report
	each     func(Step)
	cfg      *azurepg.Config
	resolver resolver
	targets  []*target // the addresses of the hosts
	tokens   *azurepg.TokenCache
	token    string // never leaves here
	db       *sql.DB
	conn     *sql.Conn
}

func newExamination(each func(Step)) *examination {
	return &examination{report: &Report{OK: true}, each: each, resolver: net.DefaultResolver}
}

// examine takes the steps after the first.
func (x *examination) examine(ctx context.Context) *Report {
	x.step(StepDNS, func(s *Step) error { return x.resolve(ctx, s) }, StepDSN)
	x.step(StepTCP, func(s *Step) error { return x.dial(ctx, s) }, StepDNS)
	x.step(StepTLS, func(s *Step) error { return x.secure(ctx, s) }, StepTCP)
	x.step(StepCredential, func(s *Step) error { return x.authenticate(ctx, s) }, StepDSN)
	x.step(StepToken, func(s *Step) error { return x.readToken(s) }, StepCredential)
	x.step(StepLogin, func(s *Step) error { return x.logIn(ctx, s) }, StepTLS, StepCredential)
	defer x.close()
	x.step(StepRole, func(s *Step) error { return x.lookAtRole(ctx, s) }, StepLogin)
	x.step(StepServer, func(s *Step) error { return x.lookAtServer(ctx, s) }, StepLogin)
	return x.report
}

func (x *examination) close() {
	if x.conn != nil {
		_ = x.conn.Close()
		_ = x.db.Close()
	}
}

// step takes a step, unless one of those that it needs did not succeed.
func (x *examination) step(name string, take func(*Step) error, needs ...string) {
	s := Step{Name: name, Status: OK}
	if missing := x.missing(needs); missing != "" {
		s.Status, s.Problem = Skipped, "needs "+missing
	} else {
		start := time.Now()
		if err := take(&s); err != nil {
			s.fail(err)
		}
		s.hide(x.token)
		s.Duration = time.Since(start)
	}
	x.report.OK = x.report.OK && s.Status != Failed
	x.report.Steps = append(x.report.Steps, s)
	if x.each != nil {
		x.each(s)
	}
}

// hide takes the token out, which a server may repeat. Azure's are known by their shape,
// even if they were cut: clean has done that.
func (s *Step) hide(token string) {
	if token == "" {
		return
	}
	for i := range s.Findings {
		s.Findings[i].Value = strings.ReplaceAll(s.Findings[i].Value, token, "[redacted]")
	}
	s.Problem = strings.ReplaceAll(s.Problem, token, "[redacted]")
}

// missing returns the first of needs that failed or was skipped.
func (x *examination) missing(needs []string) string {
	for _, need := range needs {
		for _, s := range x.report.Steps {
			if s.Name == need && (s.Status == Failed || s.Status == Skipped) {
				return need
			}
		}
	}
	return ""
}

// checkFiles reads the certificate files and checks all settings but the credential's,
// which is a step of its own.
func (x *examination) checkFiles() error {
	if x.cfg == nil {
		return nil
	}
	_, err := azurepg.NewConnector(withoutCredential(x.cfg))
	return err
}

// withoutCredential is cfg for connections that do not log in.
func withoutCredential(cfg *azurepg.Config) *azurepg.Config {
	c := cfg.Clone()
	c.AzureCredential, c.TenantID, c.ClientID, c.ClientSecret = "", "", "", ""
	c.ClientCertificatePath, c.ClientCertificatePassword, c.FederatedTokenFile = "", "", ""
	c.ManagedIdentityResourceID, c.ManagedIdentityObjectID = "", ""
	c.Credential, c.Tokens, c.Logger = nil, azurepg.NewTokenCache(nil, nil), nil
	return c
}

// add adds a finding, unless it is empty.
func (s *Step) add(name, of, value string) {
	if value != "" {
		s.Findings = append(s.Findings, Finding{Name: name, Of: of, Value: clean(value, 300)})
	}
}

func (s *Step) addSettings(settings []azurepg.Setting) {
	for _, set := range settings {
		s.Findings = append(s.Findings, Finding{Name: set.Key, Value: clean(set.Value, 300), Source: set.Source})
	}
}

// fail says why the step failed, and what to do.
func (s *Step) fail(err error) {
	s.Status = Failed
	s.Problem, s.Cure = problem(err)
}

// warn says what is not as it should be, unless something has been said before.
func (s *Step) warn(problem, cure string) {
	if s.Status == OK {
		s.Status, s.Problem, s.Cure = Warning, clean(problem, 1000), clean(cure, 1000)
	}
}

// problem parts an error into what happened and what to do.
func problem(err error) (what, cure string) {
	cure = azurepg.Advice(err)
	what = strings.TrimPrefix(err.Error(), "azurepg: ")
	if cure != "" {
		what = strings.Replace(what, ": "+cure, "", 1)
	}
	if what == "TLS" { // and all else is in the cure
		what = errors.Unwrap(err).Error()
	}
	return clean(what, 1000), clean(cure, 1000)
}
