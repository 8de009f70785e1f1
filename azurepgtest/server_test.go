package azurepgtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/testroute"
)

func TestDSNIsAURLThatSurvivesParsing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"dsn", "dsn app", "a@b", "a#EXT#@c.onmicrosoft.com", "a+b=c&d", "a/b?c:d%"} {
		dsn := shared.DSN(name)
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.User.Username(); got != name || u.Host != shared.Postgres.Addr() || u.Path != "/postgres" {
			t.Errorf("%q reads as user %q, host %q, path %q", name, got, u.Host, u.Path)
		}
		if q := u.Query(); q.Get("sslrootcert") != shared.Postgres.CAFile || q.Get("azure_tenant_id") != shared.Entra.TenantID || q.Get("azure_client_secret") == "" {
			t.Errorf("%q has settings %v", name, q)
		}
		if shared.DSN(name) != dsn {
			t.Errorf("%q: a second DSN is another", name)
		}
	}
	renewed := shared.Entra.NewSecret(shared.AddServicePrincipal("dsn"))
	if u, err := url.Parse(shared.DSN("dsn")); err != nil || u.Query().Get("azure_client_secret") != renewed {
		t.Error("the DSN has a secret that is no longer taken")
	}
	member := shared.AddServicePrincipal("dsn member")
	shared.AddGroup("dsn group", member)
	if dsn := shared.DSN("dsn group"); !strings.Contains(dsn, member.ClientID) || !strings.Contains(dsn, "dsn%20group@") {
		t.Error("the DSN of a group is not that of its member")
	}
}

func TestKeysAndConfigurationArePublished(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	get := func(u string) (body map[string]any) {
		t.Helper()
		response, err := s.Entra.Transport().Get(u)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(&body); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", u, response.Status, err)
		}
		return body
	}
	configuration := get("https://login.microsoftonline.com/" + s.Entra.TenantID + "/v2.0/.well-known/openid-configuration")
	keyID := func() string {
		keys := get(configuration["jwks_uri"].(string))["keys"].([]any)
		return keys[0].(map[string]any)["kid"].(string)
	}
	before := keyID()
	if err := s.Entra.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if keyID() == before {
		t.Error("RotateKeys left the key as it was")
	}
}

// TestEnvLeadsOtherProcessesHere runs itself as another process, which knows nothing
// but its environment.
func TestEnvLeadsOtherProcessesHere(t *testing.T) {
	if os.Getenv("AZUREPGTEST_CHILD") != "" {
		childOf(t)
		return
	}
	t.Parallel()
	app, identity := shared.AddServicePrincipal("env app"), shared.AddManagedIdentity("env identity")
	child := func(p *azurepgtest.Principal, env ...string) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestEnvLeadsOtherProcessesHere$", "-test.count=1")
		cmd.Env = append(append(os.Environ(), shared.Env()...), env...)
		cmd.Env = append(cmd.Env, "AZUREPGTEST_CHILD=1", "PGUSER="+p.Name, "AZURE_CLIENT_ID="+p.ClientID, "AZURE_TOKEN_CREDENTIALS=prod")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", p.Name, err, out)
		}
	}
	child(app, "AZURE_CLIENT_SECRET="+app.Secret)
	child(app, "AZURE_CLIENT_SECRET="+app.Secret, "AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/")
	child(app, "AZURE_FEDERATED_TOKEN_FILE="+app.FederatedTokenFile)
	child(identity)
	child(identity, shared.Identity.Env()...)
}

func childOf(t *testing.T) {
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGPASSWORD", getToken(t, cred).Token)
	conn, err := pgx.Connect(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	s, err := azurepgtest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	deleted := s.AddServicePrincipal("deleted")
	s.Recreate(deleted)
	app := s.AddServicePrincipal("app")
	conn, err := login(t.Context(), s.Postgres, "app", s.Entra.Mint(app, nil))
	if err != nil {
		t.Fatal(err)
	}
	if testroute.Lookup(app.ClientID) == nil || testroute.Lookup("", app.TenantID) == nil {
		t.Error("azurepg's credentials would not find the way here")
	}
	s.Entra.Fault(azurepgtest.Hang)
	hung := make(chan struct{})
	go func() {
		defer close(hung)
		requestToken(context.Background(), s, app)
	}()
	for range 2 { // once more does no harm
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	<-hung
	if testroute.Lookup(app.ClientID, app.ObjectID, app.TenantID, deleted.ClientID) != nil {
		t.Error("azurepg's credentials still find the way here")
	}
	if _, err := conn.Exec(t.Context(), "select 1"); err == nil {
		t.Error("the session goes on")
	}
	if _, err := os.Stat(s.Postgres.CAFile); !os.IsNotExist(err) {
		t.Errorf("the files are left: %v", err)
	}
}
