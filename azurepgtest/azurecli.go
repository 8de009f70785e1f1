package azurepgtest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// An AzureCLI is an installation of a fake az, signed in as one principal. It knows "az
// account get-access-token" and "az account show"; every call asks the running Server,
// so tokens have the lifetime that is set then. It is a shell script, for Unix.
type AzureCLI struct {
	Dir string // holds az; to be put in front of PATH

	entra     *Entra
	principal *Principal

	mu        sync.Mutex // guards all below
	calls     int
	signedOut bool
}

// AzureCLI installs a fake az that is signed in as p, which is no group. It ends the
// test, or panics if s is from New, where that is not possible.
func (s *Server) AzureCLI(p *Principal) *AzureCLI {
	if s.tb != nil {
		s.tb.Helper()
	}
	cli := &AzureCLI{Dir: filepath.Join(s.dir, "az-"+newGUID()), entra: s.Entra, principal: p}
	stop, err := installAzureCLI(cli.Dir, cli.run)
	if err != nil {
		s.fail(fmt.Errorf("azurepgtest: az: %w", err))
	}
	s.adding.Lock()
	defer s.adding.Unlock()
	s.closeLater(stop)
	return cli
}

// Calls returns how often az has been run.
func (c *AzureCLI) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// SignOut makes az fail as after az logout.
func (c *AzureCLI) SignOut() { c.setSignedOut(true) }

// SignIn undoes SignOut.
func (c *AzureCLI) SignIn() { c.setSignedOut(false) }

func (c *AzureCLI) setSignedOut(out bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signedOut = out
}

// run answers one call of az: what it prints, to standard error if it fails.
func (c *AzureCLI) run(args []string) (output string, ok bool) {
	c.mu.Lock()
	c.calls++
	out := c.signedOut
	c.mu.Unlock()
	command := strings.Join(args[:min(2, len(args))], " ")
	switch {
	case out:
		return "ERROR: Please run 'az login' to setup account.", false
	case command == "account get-access-token":
		return c.accessToken(options(args[2:]))
	case command == "account show":
		return encode(map[string]any{
			"environmentName": "AzureCloud", "id": c.entra.directory.subscriptionID, "isDefault": true,
			"name": "azurepgtest", "state": "Enabled", "tenantId": c.entra.TenantID,
			"user": map[string]any{"name": c.principal.Name, "type": c.userType()},
		}), true
	}
	return fmt.Sprintf("ERROR: '%s' is misspelled or not recognized by the system.", command), false
}

// accessToken asks for --resource, or for --scope with its /.default.
func (c *AzureCLI) accessToken(options map[string]string) (string, bool) {
	if tenant := options["--tenant"]; tenant != "" && !strings.EqualFold(tenant, c.entra.TenantID) {
		return fmt.Sprintf("ERROR: AADSTS90002: %s", aadsts(90002, tenant).message), false
	}
	scope := options["--scope"]
	if scope == "" {
		scope = options["--resource"] + "/.default"
	}
	resource, refusal := resourceIn(scope, c.entra.TenantID)
	if refusal != nil {
		return fmt.Sprintf("ERROR: AADSTS%d: %s", refusal.code, refusal.message), false
	}
	lifetime, _ := c.entra.lifetimes()
	token, expires, err := c.entra.issue(c.principal, resource, bySecret, lifetime)
	if err != nil {
		return "ERROR: " + err.Error(), false
	}
	return encode(map[string]any{
		"accessToken":  token,
		"expiresOn":    expires.In(time.Local).Format("2006-01-02 15:04:05.000000"),
		"expires_on":   expires.Unix(),
		"subscription": c.entra.directory.subscriptionID,
		"tenant":       c.entra.TenantID,
		"tokenType":    "Bearer",
	}), true
}

func (c *AzureCLI) userType() string {
	if c.principal.Kind == User {
		return "user"
	}
	return "servicePrincipal"
}

// options reads "--name value" pairs; az also takes "--name=value".
func options(args []string) map[string]string {
	options := make(map[string]string)
	for i, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			continue
		}
		name, value, joined := strings.Cut(arg, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		options[name] = value
	}
	return options
}

// encode returns JSON in one line, which is what the script can read.
func encode(v any) string {
	b, _ := json.Marshal(v) // maps of strings and numbers
	return string(b)
}
