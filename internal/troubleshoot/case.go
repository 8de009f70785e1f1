package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// fault is a way to get no connection.
type fault struct {
	title string
	cause string // in a sentence or two: when it happens
	do    string // the cure

	bad, good settings
	// spoil and cure change the server. Nil: the settings alone are at fault.
	spoil func(*stage)
	cure  func(*stage)
}

// settings are a DSN and variables, with the {names} of facts in them.
type settings struct {
	dsn string
	env []string
}

// stage is where faults happen: Azure on loopback, and an application with a role.
type stage struct {
	azure  *azurepgtest.Server
	app    *azurepgtest.Principal
	secret string // the application's own, now
	runs   int
}

// play writes down f: what the program says, what to do, what it says then.
func (s *stage) play(f fault) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n", f.title, folded("", f.cause))
	if f.spoil != nil {
		f.spoil(s)
	}
	withEnv := !slices.Equal(f.bad.env, f.good.env)
	said, err := s.run(&b, f.bad, withEnv)
	if err == nil {
		return "", fmt.Errorf("%s: it went well: %s", f.title, said)
	}
	if f.cure != nil {
		f.cure(s)
	}
	fmt.Fprintf(&b, "%s\n", folded("", f.do+" Then:"))
	if _, err := s.run(&b, f.good, withEnv); err != nil {
		return "", fmt.Errorf("%s: the cure does not help: %w", f.title, err)
	}
	return b.String(), nil
}

// run runs the program of the quick start with these settings, and writes down both.
func (s *stage) run(b *strings.Builder, with settings, withEnv bool) (string, error) {
	facts := strings.NewReplacer("{host}", s.azure.Postgres.Addr(), "{closed}", closed,
		"{ca}", s.azure.Postgres.CAFile, "{tenant}", s.app.TenantID, "{client}", s.app.ClientID, "{secret}", s.secret)
	os.Clearenv()
	s.runs++ // another environment has another token cache, as another process would
	if err := os.Setenv("AZURE_TROUBLESHOOTING_RUN", strconv.Itoa(s.runs)); err != nil {
		return "", err
	}
	for _, kv := range with.env {
		name, value, _ := strings.Cut(facts.Replace(kv), "=")
		if err := os.Setenv(name, value); err != nil {
			return "", err
		}
		if withEnv && name != "PGSSLROOTCERT" { // which stands for the authorities that a machine knows anyway
			fmt.Fprintf(b, "    %s=%s\n", name, s.plain(shown(name, value)))
		}
	}
	dsn := facts.Replace(with.dsn)
	said, err := quickStart(dsn)
	result := "logged in as " + said
	if err != nil {
		result = err.Error()
	}
	fmt.Fprintf(b, "    %s\n\n%s\n", s.plain(azurepg.Redact(dsn)), folded("    ", s.plain(result)))
	return said, err
}

func shown(name, value string) string {
	if strings.Contains(name, "SECRET") {
		return "…"
	}
	return value
}

// folded is text on lines that fit a page.
func folded(indent, text string) string {
	const width = 120
	var b strings.Builder
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+len(line)+1+len(word) > width {
			b.WriteString(indent + line + "\n")
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	b.WriteString(indent + line + "\n")
	return b.String()
}
