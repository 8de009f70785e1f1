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
	refusal   int // AADSTS…; 0 is none
}

// notSignedIn is what az prints after az logout.
const notSignedIn = "ERROR: Please run 'az login' to setup account."

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

// SetRefusal makes az get the Entra error of that number in place of a token, for
// instance 50076, multi-factor authentication, which only people are asked for; 0, the
// default, ends that.
func (c *AzureCLI) SetRefusal(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusal = code
}

func (c *AzureCLI) setSignedOut(out bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signedOut = out
}

// run answers one call of az: what it prints, to standard error if it fails.
func (c *AzureCLI) run(args []string) (output string, ok bool) {
	c.mu.Lock()
	c.calls++
	out, refusal := c.signedOut, c.refusal
	c.mu.Unlock()
	command := strings.Join(args[:min(2, len(args))], " ")
	switch {
	case out:
		return notSignedIn, false
	case command == "account get-access-token" && refusal != 0:
		return c.failure(aadsts(refusal)), false
	case command == "account get-access-token":
		return c.accessToken(options(args[2:]))
	case command == "account show":
		return c.show(), true
	}
	return fmt.Sprintf("ERROR: '%s' is misspelled or not recognized by the system.", command), false
}

// show says whom az is signed in as, by the name at that time.
func (c *AzureCLI) show() string {
	return encode(map[string]any{
		"environmentName": "AzureCloud", "id": c.entra.directory.subscriptionID, "isDefault": true,
		"name": "azurepgtest", "state": "Enabled", "tenantId": c.entra.TenantID,
		"user": map[string]any{"name": c.principal.Name, "type": c.userType()},
	})
}

// accessToken asks for --resource, or for --scope with its /.default.
func (c *AzureCLI) accessToken(options map[string]string) (string, bool) {
	who, tenant, refusal := c.account(options["--tenant"])
	if refusal != nil {
		return c.failure(refusal), false
	}
	scope := options["--scope"]
	if scope == "" {
		scope = options["--resource"] + "/.default"
	}
	resource, refusal := resourceIn(scope, tenant)
	if refusal != nil {
		return c.failure(refusal), false
	}
	lifetime, _ := c.entra.lifetimes()
	token, _, err := c.entra.issue(who.in(tenant), resource, bySecret, c.entra.clock.now(), lifetime)
	if err != nil {
		return "ERROR: " + err.Error(), false
	}
	expires := time.Now().Add(lifetime) // az adds expires_in to the time of its own machine
	return encode(map[string]any{
		"accessToken":  token,
		"expiresOn":    expires.In(time.Local).Format("2006-01-02 15:04:05.000000"),
		"expires_on":   expires.Unix(),
		"subscription": c.entra.directory.subscriptionID,
		"tenant":       tenant,
		"tokenType":    "Bearer",
	}), true
}

// failure is what az prints of a refusal by Entra.
func (c *AzureCLI) failure(e *entraError) string {
	now := c.entra.clock.now().UTC().Format(entraTime)
	return "ERROR: " + e.description(newGUID(), newGUID(), now) + "\nTo re-authenticate, please run:\naz login"
}

// account returns the principal that az is signed in as, as it is now, and the tenant
// that is asked, "" for its own.
func (c *AzureCLI) account(asked string) (*Principal, string, *entraError) {
	home := c.entra.TenantID
	tenant := home
	if asked != "" {
		tenant = c.entra.directory.tenant(asked)
	}
	a := c.entra.directory.withID(c.principal.ObjectID)
	isUser := c.principal.Kind == User
	switch {
	case tenant == "":
		return nil, "", aadsts(90002, asked)
	case a == nil && isUser:
		return nil, "", aadsts(50034, c.principal.UPN, tenant)
	case isUser && tenant != home:
		return nil, "", aadsts(50020, a.UPN, issuer(home), tenant)
	case a == nil || !a.knownIn(tenant):
		return nil, "", aadsts(700016, c.principal.ClientID, tenant)
	}
	return a.Principal, tenant, nil
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
