package doctor

import (
	"fmt"
	"strings"
	"time"
)

// Report is what an examination found. Its names in JSON do not change.
type Report struct {
	// OK reports whether no step failed.
	OK bool `json:"ok"`
	// Steps are in the order of the constants; all of them are there.
	Steps []Step `json:"steps"`
}

// The names of the steps. A step that needs another which failed is skipped.
const (
	StepDSN        = "dsn"        // the settings, and where each came from
	StepDNS        = "dns"        // the addresses of the hosts
	StepTCP        = "tcp"        // each address
	StepTLS        = "tls"        // each address that was reached, without a token
	StepCredential = "credential" // gets a token
	StepToken      = "token"      // what it says about itself
	StepLogin      = "login"      // as a program would log in
	StepRole       = "role"       // its memberships and rights
	StepServer     = "server"     // its version and connections
)

// Status says how a step ended.
type Status string

// The values of Status.
const (
	OK      Status = "ok"
	Warning Status = "warning" // the login is possible, but something is not as it should be
	Failed  Status = "failed"
	Skipped Status = "skipped" // a step that it needs has failed
)

// Step is one step of an examination.
type Step struct {
	Name     string        `json:"name"`
	Status   Status        `json:"status"`
	Duration time.Duration `json:"duration_ns"`
	// Findings are in the order in which they are best read.
	Findings []Finding `json:"findings,omitempty"`
	// Problem says what happened, if not all is well. It is one line.
	Problem string `json:"problem,omitempty"`
	// Cure says what to do about it. Empty: nothing is known, or to be done.
	Cure string `json:"cure,omitempty"`
}

// Finding is one thing that a step found out.
type Finding struct {
	Name string `json:"name"`
	// Of is what the finding is about, where a step looks at several things: a host, an
	// address, a credential of a chain.
	Of    string `json:"of,omitempty"`
	Value string `json:"value"`
	// Source is where a setting came from; see azurepg.Setting. Only step dsn has it.
	Source string `json:"source,omitempty"`
}

// FirstFailure returns the first step that failed, or nil.
func (r *Report) FirstFailure() *Step {
	for i := range r.Steps {
		if r.Steps[i].Status == Failed {
			return &r.Steps[i]
		}
	}
	return nil
}

// String is the report as text, for a terminal or a log.
func (r *Report) String() string {
	var b strings.Builder
	for _, s := range r.Steps {
		b.WriteString(s.String())
	}
	return b.String()
}

var marks = map[Status]string{OK: "✓", Warning: "!", Failed: "✗", Skipped: "-"}

// String is the step as text: a line with its status, one for each finding, and problem
// and cure.
func (s Step) String() string {
	var b strings.Builder
	if s.Status == Skipped {
		return fmt.Sprintf("%s %-11s %s\n", marks[s.Status], s.Name, s.Problem)
	}
	fmt.Fprintf(&b, "%s %-11s %s\n", marks[s.Status], s.Name, s.Duration.Round(10*time.Microsecond))
	width := 0
	for _, f := range s.Findings {
		width = max(width, len(f.label()))
	}
	for _, f := range s.Findings {
		source := ""
		if f.Source != "" {
			source = " (" + f.Source + ")"
		}
		fmt.Fprintf(&b, "    %-*s  %s%s\n", width, f.label(), f.Value, source)
	}
	if s.Problem != "" {
		fmt.Fprintf(&b, "    problem: %s\n", s.Problem)
	}
	if s.Cure != "" {
		fmt.Fprintf(&b, "    cure: %s\n", s.Cure)
	}
	return b.String()
}

func (f Finding) label() string {
	if f.Of == "" {
		return f.Name
	}
	return f.Of + " " + f.Name
}
