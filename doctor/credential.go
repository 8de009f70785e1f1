package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/internal/jwt"
)

// authenticate gets a token.
func (x *examination) authenticate(ctx context.Context, s *Step) error {
	name := x.cfg.AzureCredential
	switch {
	case x.cfg.Tokens != nil, x.cfg.Credential != nil:
		name = "from code"
	case name == "":
		name = defaultChain
	}
	s.add("credential", "", name)
	var err error
	if x.tokens, err = x.cfg.TokenCache(); err != nil {
		return err
	}
	token, err := x.tokens.Token(ctx)
	if err != nil {
		s.explain(err)
		return err
	}
	x.token = token.Token
	s.add("expires_on", "", token.ExpiresOn.UTC().Format(time.RFC3339))
	if name == defaultChain {
		x.findInChain(ctx, s)
	}
	return nil
}

// explain adds what the service said of a token that was not to be had.
func (s *Step) explain(err error) {
	var e *azurepg.TokenError
	if !errors.As(err, &e) {
		return
	}
	for _, attempt := range e.Attempts {
		if plain, err := strconv.Unquote(attempt); err == nil {
			attempt = plain
		}
		of, why, _ := strings.Cut(attempt, " ") // its first word is the credential's type
		s.add("attempt", strings.TrimSuffix(of, ":"), why)
	}
	s.add("code", "", e.Code)
	if e.StatusCode != 0 {
		s.add("http_status", "", strconv.Itoa(e.StatusCode))
	}
	s.add("correlation_id", "", e.CorrelationID)
	s.add("trace_id", "", e.TraceID)
	if e.RetryAfter > 0 {
		s.add("retry_after", "", e.RetryAfter.String())
	}
	s.add("temporary", "", strconv.FormatBool(e.Temporary))
}

const defaultChain = "default"

// chain is the order of azidentity's DefaultAzureCredential, in its names and ours.
// Source: default_azure_credential.go of azidentity 1.15.
var chain = []struct{ name, ours string }{
	{"EnvironmentCredential", "environment"},
	{"WorkloadIdentityCredential", "workload_identity"},
	{"ManagedIdentityCredential", "managed_identity"},
	{"AzureCLICredential", "azure_cli"},
	{"AzureDeveloperCLICredential", "azure_developer_cli"},
	{"AzurePowerShellCredential", "azure_powershell"},
}

// inChain reports whether AZURE_TOKEN_CREDENTIALS leaves link i in the chain.
func inChain(i int, selected string) bool {
	const firstTool = 3
	switch selected {
	case "":
		return true
	case "dev":
		return i >= firstTool
	case "prod":
		return i < firstTool
	}
	return strings.EqualFold(selected, chain[i].name)
}

// findInChain tells which credential of the chain gave the token, which azidentity keeps
// to itself: the first one that gives one for the same principal.
func (x *examination) findInChain(ctx context.Context, s *Step) {
	got, _ := jwt.Read(x.token)
	for i, link := range chain {
		if !inChain(i, os.Getenv("AZURE_TOKEN_CREDENTIALS")) {
			s.add("attempt", link.name, "AZURE_TOKEN_CREDENTIALS leaves it out")
			continue
		}
		if link.ours == "managed_identity" && got.ResourceID == "" {
			s.add("attempt", link.name, "the token is not of a managed identity") // and the endpoint, if absent, costs half a minute
			continue
		}
		token, err := x.askAlone(ctx, link.ours)
		if err != nil {
			what, cure := problem(err)
			if lacks := (*azurepg.DSNError)(nil); errors.As(err, &lacks) {
				what = cure // what a credential lacks; the key alone says little here
			}
			s.add("attempt", link.name, what)
			continue
		}
		if c, _ := jwt.Read(token); c.ObjectID != got.ObjectID {
			s.add("attempt", link.name, "has a token of another principal")
			continue
		}
		s.add("attempt", link.name, "gave the token")
		return
	}
}

// askAlone gets a token from one credential of the chain, with the settings that it has
// there.
func (x *examination) askAlone(ctx context.Context, name string) (string, error) {
	cfg := x.cfg.Clone()
	cfg.AzureCredential = name
	switch name {
	case "environment":
		cfg.TenantID = ""
	case "managed_identity":
		cfg.TenantID, cfg.ClientID = "", os.Getenv("AZURE_CLIENT_ID")
	}
	tokens, err := cfg.TokenCache()
	if err != nil {
		return "", err
	}
	token, err := tokens.Token(ctx)
	return token.Token, err
}

// Source: docs/pgbouncer.md.
const (
	pgBouncerPort  = 6432
	pgBouncerLimit = 2047 // bytes of a password, before 1.26
)

// clockWarning is how wrong a clock may be. Entra's tokens begin five minutes before their
// issue.
const clockWarning = time.Minute

// readToken tells what the token says about itself.
func (x *examination) readToken(s *Step) error {
	s.add("length", "", fmt.Sprint(len(x.token)))
	c, ok := jwt.Read(x.token)
	if !ok {
		s.warn("the token cannot be read here", "look at the credential that Config has: Azure's are JSON Web Tokens")
		return nil
	}
	s.add("aud", "", strings.Join(c.Audience, " "))
	s.add("tid", "", c.TenantID)
	s.add("oid", "", c.ObjectID)
	s.add("appid", "", c.AppID)
	s.add("idtyp", "", c.IdentityType)
	s.add("upn", "", c.UPN)
	s.add("preferred_username", "", c.PreferredUsername)
	s.add("unique_name", "", c.UniqueName)
	s.add("xms_mirid", "", c.ResourceID)
	if c.Expires != 0 {
		s.add("exp", "", c.Expires.Time().UTC().Format(time.RFC3339))
		s.add("left", "", time.Until(c.Expires.Time()).Round(time.Second).String())
	}
	if c.NotBefore != 0 {
		s.add("nbf", "", c.NotBefore.Time().UTC().Format(time.RFC3339))
		s.add("lifetime", "", c.Expires.Time().Sub(c.NotBefore.Time()).String())
	}
	if ahead := x.tokens.Stats().ClockAhead; ahead != 0 {
		s.addClock("the token service", ahead)
	}
	onPort := slices.ContainsFunc(x.cfg.Hosts, func(h azurepg.Host) bool { return h.Port == pgBouncerPort })
	if onPort && len(x.token) > pgBouncerLimit {
		s.warn(fmt.Sprintf("the token has %d bytes, and PgBouncer before 1.26, on port %d, takes %d", len(x.token), pgBouncerPort, pgBouncerLimit), "if the login fails use port 5432")
	}
	return nil
}

// addClock tells how far a clock is ahead of this machine's, to a second.
func (s *Step) addClock(of string, ahead time.Duration) {
	s.add("clock_ahead", of, ahead.Round(time.Second).String())
	if ahead.Abs() > clockWarning {
		direction := "behind"
		if ahead < 0 {
			direction = "ahead of"
		}
		s.warn(fmt.Sprintf("this machine's clock is %s %s that of %s", ahead.Abs().Round(time.Second), direction, of), "set the clock, by NTP")
	}
}
