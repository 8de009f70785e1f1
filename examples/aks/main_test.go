package main

import (
	"bytes"
	"context"
	"database/sql"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

var azure *azurepgtest.Server

// The tests run this binary as the program, with runVariable set.
const runVariable = "AKS_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(runVariable) != "" {
		main()
		return
	}
	os.Exit(exampletest.Serve(m, &azure))
}

const printed = "1 Mercury\n2 Venus\n3 Earth\n"

// pod is the environment of a pod: what the manifest says, what the webhook adds, and the
// way to the fake Azure, which in a cluster are its DNS and its roots.
func pod(t *testing.T, who *azurepgtest.Principal, role, database string) []string {
	t.Helper()
	env := []string{
		"DBHOST=" + azure.Postgres.Host, "DBPORT=" + strconv.Itoa(azure.Postgres.Port), "DBUSER=" + role, "DBNAME=" + database,
		"AZURE_CLIENT_ID=" + who.ClientID, "AZURE_FEDERATED_TOKEN_FILE=" + who.FederatedTokenFile,
	}
	for _, setting := range azure.Env() {
		if !strings.HasPrefix(setting, "PG") {
			env = append(env, setting)
		}
	}
	return env
}

// execute runs the program in that environment and no other.
func execute(t *testing.T, env []string) (stdout, stderr string, err error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(slices.Clone(env), runVariable+"=1"), &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func databaseOf(t *testing.T, role string) string {
	t.Helper()
	u, err := url.Parse(azure.NewDatabase(t, role))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func TestPodRunsTwiceWithNothingButItsVariables(t *testing.T) {
	who := azure.AddManagedIdentity("id-twice")
	env := pod(t, who, "id-twice", databaseOf(t, "id-twice"))
	for run := range 2 {
		stdout, stderr, err := execute(t, env)
		if err != nil || stdout != printed || stderr != "" {
			t.Errorf("run %d: %v, printed %q and %q; want %q", run+1, err, stdout, stderr, printed)
		}
	}
}

// Each variable that is needed is asked for by name; DBPORT and AZURE_AUTHORITY_HOST have
// a default.
func TestPodSaysWhichVariableIsMissing(t *testing.T) {
	who := azure.AddManagedIdentity("id-missing")
	env := pod(t, who, "id-missing", "postgres")
	for _, name := range []string{"DBHOST", "DBUSER", "DBNAME", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"} {
		less := slices.DeleteFunc(slices.Clone(env), func(s string) bool { return strings.HasPrefix(s, name+"=") })
		if _, stderr, err := execute(t, less); err == nil || !strings.Contains(stderr, name) {
			t.Errorf("without %s: %v, %q; want its name", name, err, stderr)
		}
	}
}

func TestProgramRunsByHandWithADSN(t *testing.T) {
	t.Setenv("DATABASE_URL", azure.NewDatabase(t, "by-hand"))
	withoutArguments(t)
	var out strings.Builder
	if err := start(t.Context(), &out); err != nil || out.String() != printed {
		t.Errorf("%v, printed %q", err, &out)
	}
}

// The kubelet replaces the file long before its token ends. Here the clock jumps
// past the old token's end, so nothing but the new one can have been sent.
func TestFederatedTokenFileIsReplacedWhileTheProgramRuns(t *testing.T) {
	who := azure.AddManagedIdentity("id-renewed")
	for _, setting := range pod(t, who, "id-renewed", databaseOf(t, "id-renewed")) {
		if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "DB") {
			t.Setenv(name, value)
		}
	}
	withoutArguments(t)
	cfg, err := config()
	if err != nil {
		t.Fatal(err)
	}
	cfg.SSLRootCert = azure.Postgres.CAFile // SSL_CERT_FILE is read once by a process
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	db.SetMaxIdleConns(0) // a login for each query
	azure.Entra.SetLifetime(2 * time.Second)
	defer azure.Entra.SetLifetime(time.Hour)
	runUntil(t, db, connector, 2)
	azure.Entra.SetLifetime(time.Hour) // no refresh may be under way when the clock jumps
	runUntil(t, db, connector, connector.Stats().Tokens.Fetches+1)

	before := readFile(t, who.FederatedTokenFile)
	azure.SetClock(25 * time.Hour) // writes new federated tokens, since the old ones end after a day
	defer azure.SetClock(0)
	if after := readFile(t, who.FederatedTokenFile); after == before {
		t.Fatal("the file has not been replaced")
	}
	runUntil(t, db, connector, connector.Stats().Tokens.Fetches+1)
}

// runUntil repeats run, which must not fail, until so many tokens have been fetched.
func runUntil(t *testing.T, db *sql.DB, connector *azurepg.Connector, fetches uint64) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); connector.Stats().Tokens.Fetches < fetches; {
		var out strings.Builder
		if err := run(t.Context(), db, &out); err != nil || out.String() != printed {
			t.Fatalf("%v, printed %q", err, &out)
		}
		if time.Now().After(end) {
			t.Fatalf("%d tokens fetched; want %d", connector.Stats().Tokens.Fetches, fetches)
		}
	}
}

// withoutArguments hides the flags of go test.
func withoutArguments(t *testing.T) {
	args := os.Args
	os.Args = args[:1]
	t.Cleanup(func() { os.Args = args })
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
