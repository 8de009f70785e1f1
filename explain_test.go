package azurepg_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// connectError returns the error of a connect by dsn, after checking that it is
// one filled line without secrets.
func connectError(t *testing.T, dsn string, change func(*azurepg.Config), secrets ...string) error {
	t.Helper()
	_, err := connector(t, dsn, change).Connect(t.Context())
	if err == nil {
		t.Fatal("connected")
	}
	if !strings.HasPrefix(err.Error(), "azurepg: ") || strings.ContainsAny(err.Error(), "\n{}") {
		t.Errorf("%q is not one line of azurepg's", err)
	}
	for _, secret := range secrets {
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
			t.Errorf("%q shows a secret", err)
		}
	}
	return err
}

// wantParts fails the test if err's text lacks a part.
func wantParts(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v\nlacks %s", err, part)
		}
	}
}

func TestRefusedLoginSaysWhatIsWrongWithIt(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app, other := s.AddServicePrincipal("explain-app"), s.AddServicePrincipal("explain-other")
	alice := s.AddUser("explain-alice@contoso.com")
	stranger := s.AddServicePrincipal("explain-stranger")
	if err := s.Postgres.AddRole(t.Context(), "explain-o'brien", other); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		of   *azurepgtest.Principal
		mint azurepgtest.MintOptions
		user string
		says []string
	}{
		{name: "another audience", of: app, mint: azurepgtest.MintOptions{Audience: "00000003-0000-0000-c000-000000000000"}, user: app.Name,
			says: []string{`the token is for "00000003-0000-0000-c000-000000000000"`, "ossrdbms-aad.database.windows.net/.default", "leave azure_scope out"}},
		{name: "expired", of: app, mint: azurepgtest.MintOptions{Expires: time.Now().Add(-time.Hour)}, user: app.Name, says: []string{"the token expired 1h0m", "set the clock"}},
		{name: "not yet valid", of: app, mint: azurepgtest.MintOptions{NotBefore: time.Now().Add(time.Hour)}, user: app.Name, says: []string{"valid only in ", "set the clock"}},
		{name: "another tenant", of: app, mint: azurepgtest.MintOptions{TenantID: "99999999-2222-2222-2222-222222222222"}, user: app.Name,
			says: []string{`does not trust its tenant, "99999999-2222-2222-2222-222222222222"`}},
		{name: "forged", of: app, mint: azurepgtest.MintOptions{Forged: true}, user: app.Name, says: []string{"could not read the token", app.TenantID}},
		{name: "an application as a user", of: app, user: alice.Name, says: []string{"the role is of a user, but the token is of an application", app.ObjectID}},
		{name: "a user as an application", of: alice, user: app.Name, says: []string{"but the token is of a person", alice.UPN}},
		{name: "another object id", of: app, user: "explain-o'brien", says: []string{`security label for "pgaadauth" on role "explain-o'brien" is 'aadauth,oid=` + app.ObjectID + `,type=service'`}},
		{name: "no role", of: stranger, user: "explain-o'nobody", says: []string{"pgaadauth_create_principal_with_oid('explain-o''nobody', '" + stranger.ObjectID + "', 'service', false, false)"}},
		{name: "another case", of: alice, user: "Explain-Alice@contoso.com", says: []string{"case-sensitive", alice.UPN}},
		{name: "a client id", of: app, user: app.ClientID, says: []string{"not its client or object id"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			token := s.Entra.Mint(row.of, &row.mint)
			err := connectError(t, dsn(s, row.user), func(cfg *azurepg.Config) {
				cfg.Credential = giving(token)
			}, token)
			var refused *azurepg.AuthError
			if !errors.As(err, &refused) || !errors.As(err, new(*pgconn.PgError)) || refused.Retried {
				t.Errorf("got %v; want an AuthError around the server's", err)
			}
			wantParts(t, err, row.says...)
		})
	}
}

// Errors of PostgreSQL itself, which are no verdict on the token: nothing is
// fetched or tried again.
func TestFailureThatIsNotTheTokensIsExplainedAndLeavesIt(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	full, barred := s.AddServicePrincipal("full"), s.AddServicePrincipal("barred")
	if err := s.Postgres.CreateDatabase(t.Context(), "private"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`alter role "full" connection limit 0`, `revoke connect on database private from public`} {
		if err := s.Postgres.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name, state string
		of          *azurepgtest.Principal
		database    string
		says        string
	}{
		{"no connection left", "53300", full, "postgres", "SetMaxOpenConns"},
		{"no CONNECT", "42501", barred, "private", `grant connect on database "private" to "barred"`},
		{"no database", "3D000", barred, "absent", "set the database in the DSN"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := s.Entra.TokenRequests()
			c := connector(t, bySecret(s, row.of), func(cfg *azurepg.Config) { cfg.Database = row.database })
			_, err := c.Connect(t.Context())
			var server *pgconn.PgError
			if !errors.As(err, &server) || server.Code != row.state || errors.As(err, new(*azurepg.AuthError)) {
				t.Fatalf("got %v; want the server's %s and no AuthError", err, row.state)
			}
			wantParts(t, err, "azurepg: ", row.state, row.says)
			if got := c.Stats(); s.Entra.TokenRequests() > before+1 || got.Refused != 0 || got.Retried != 0 || got.Tokens.Forced != 0 {
				t.Errorf("Stats() = %+v; want no refusal, no retry, no forced fetch", got)
			}
		})
	}
}

func TestServerOfAnotherKindIsExplained(t *testing.T) {
	noAzure(t)
	for _, row := range []struct {
		evil azurepgtest.Evil
		says string
	}{
		{azurepgtest.AsksMD5, "this role is not an Entra role"},
		{azurepgtest.AsksSCRAM, "this role is not an Entra role"},
		{azurepgtest.AsksNothing, "no Azure Database for PostgreSQL"},
		{azurepgtest.RefusesTLS, "ssl = on"},
		{azurepgtest.OtherName, `is not for "127.0.0.1" but for "db.example.com"`},
		{azurepgtest.SelfSigned, "signed by an authority that is not trusted here"},
	} {
		for _, b := range bases {
			t.Run(string(row.evil)+", "+b.name, func(t *testing.T) {
				t.Parallel()
				rec := azurepgtest.Record(t, row.evil)
				err := b.connect(t.Context(), toRecorder(t, rec, "verify-full"))
				if err == nil {
					t.Fatal("connected")
				}
				wantParts(t, err, "azurepg: ", row.says)
				wantNothing(t, rec)
			})
		}
	}
}

func TestAdviceForAPoolIsInTheLog(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app, other := s.AddServicePrincipal("pool-app"), s.AddServicePrincipal("pool-other")
	var log bytes.Buffer
	cfg, err := azurepg.ParseDSN(bySecret(s, app))
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Logger = other.Name, slog.New(slog.NewTextHandler(&log, nil))
	if err := doors["pgxpool"](t.Context(), cfg); err == nil {
		t.Fatal("connected")
	}
	if !strings.Contains(log.String(), "security label for") || !strings.Contains(log.String(), app.ObjectID) {
		t.Errorf("the log does not say what to do:\n%s", log.String())
	}
}

func TestRevokedTokenIsToldFromAnExpiredOne(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	token := s.Entra.Mint(app, nil)
	s.Entra.RevokeTokens()
	err := connectError(t, dsn(s, app.Name), func(cfg *azurepg.Config) {
		cfg.Credential = giving(token)
	}, token)
	wantParts(t, err, "the token is valid for another ", "revoked")
}

func TestEntrasCodesReachTheUserWithIDsAndAdvice(t *testing.T) {
	noAzure(t)
	for code, says := range map[int]string{
		7000215: "not its id", 7000222: "new client secret", 700016: "azure_client_id", 90002: "azure_cloud", 50076: "az login", 700024: "clock",
		70021: "federated credential", 700211: "issuer", 700212: "AzureADTokenExchange", 700213: "serviceaccount", 500011: "azure_scope", 1002012: "/.default", 530003: "compliant device",
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			te := tokenErrorOf(t, azurepgtest.AADSTS(code))
			if te.Code != fmt.Sprintf("AADSTS%d", code) || te.TraceID == "" || te.CorrelationID == "" || te.Temporary || te.Credential != "client_secret" {
				t.Errorf("got %#v; want the code, both ids, a lasting error", te)
			}
			wantParts(t, te, "credential client_secret", te.Code, "trace id "+te.TraceID, "correlation id "+te.CorrelationID, says)
		})
	}
}

// writeAz puts an az in front of PATH that fails with these words.
func writeAz(t *testing.T, words string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"" + words + "\" >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "az"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestOfAzsWordsOnlyEntrasCodeIsKept(t *testing.T) {
	const words = "ERROR: AADSTS50076: Due to a change made by HUNTER2. Trace ID: aaaaaaaa-0000-0000-0000-000000000001 Correlation ID: bbbbbbbb-0000-0000-0000-000000000002"
	for name, dsn := range map[string]string{"alone": "host=db.example.com user=app azure_credential=azure_cli", "in the chain": "host=db.example.com user=app"} {
		t.Run(name, func(t *testing.T) {
			noAzure(t)
			writeAz(t, words)
			t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
			err := connectError(t, dsn, nil, "HUNTER2")
			wantParts(t, err, "AADSTS50076: multi-factor", "correlation id bbbbbbbb-", "az login")
		})
	}
}

func TestMissingToolIsNamed(t *testing.T) {
	noAzure(t)
	t.Setenv("PATH", t.TempDir())
	for name, says := range map[string]string{"azure_cli": "install the Azure CLI", "azure_developer_cli": "install the Azure Developer CLI", "azure_powershell": "install PowerShell"} {
		t.Run(name, func(t *testing.T) {
			wantParts(t, connectError(t, "host=db.example.com user=app azure_credential="+name, nil), "no token from credential "+name, says)
		})
	}
}

func TestManagedIdentityThatCannotBeHadIsExplained(t *testing.T) {
	noAzure(t)
	s, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	id := s.AddManagedIdentity("id")
	byID := func(timeout, clientID string) string { // errors are shared for a second, by all the settings
		return "host=db.example.com user=id azure_credential=managed_identity azure_token_timeout=" + timeout + " azure_client_id=" + clientID
	}
	temporary := func(t *testing.T, err error) {
		t.Helper()
		var te *azurepg.TokenError
		if !errors.As(err, &te) || !te.Temporary {
			t.Errorf("%v is not a temporary TokenError", err)
		}
	}
	t.Run("throttled", func(t *testing.T) {
		s.Identity.Fault(azurepgtest.Status(429, 0))
		defer s.Identity.ClearFaults()
		err := connectError(t, byID("2s", id.ClientID), nil)
		temporary(t, err)
		wantParts(t, err, "HTTP 429", "fetch tokens in a loop")
	})
	t.Run("no endpoint", func(t *testing.T) {
		s.Identity.Fault(azurepgtest.Hang)
		defer s.Identity.ClearFaults()
		err := connectError(t, byID("1s", id.ClientID), nil)
		temporary(t, err)
		wantParts(t, err, "no answer within 1s", "Azure's machines only")
	})
	t.Run("not assigned", func(t *testing.T) {
		_ = s.AddManagedIdentity("another")
		setenv(t, s.Identity.Env()...)
		wantParts(t, connectError(t, byID("2s", "11111111-2222-3333-4444-555555555555"), nil), "HTTP 400", "check that this identity is assigned")
	})
	t.Run("sidecar not up", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		setenv(t, "IDENTITY_ENDPOINT=http://"+addr+"/msi/token", "IDENTITY_HEADER=x")
		for name, dsn := range map[string]string{"by itself": "azure_credential=managed_identity", "in the chain": ""} {
			t.Run(name, func(t *testing.T) {
				err := connectError(t, "host=db.example.com user=app azure_token_timeout=2s "+dsn, nil)
				temporary(t, err)
				wantParts(t, err, addr, "connection refused", "sidecar")
			})
		}
	})
}

func TestAbsentFederatedTokenSpeaksOfTheWebhook(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("absent-app")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	ids := "host=db.example.com user=app azure_credential=workload_identity azure_tenant_id=" + app.TenantID + " azure_client_id=" + app.ClientID + " azure_federated_token_file="
	t.Run("variables absent", func(t *testing.T) {
		_, err := azurepg.Driver{}.OpenConnector("host=db.example.com user=app azure_credential=workload_identity")
		var de *azurepg.DSNError
		if !errors.As(err, &de) {
			t.Fatalf("got %v; want a DSNError", err)
		}
		wantParts(t, err, "AZURE_FEDERATED_TOKEN_FILE", "webhook", "azure.workload.identity/use=true")
	})
	t.Run("file absent", func(t *testing.T) {
		_, err := azurepg.Driver{}.OpenConnector(ids + file + "-gone")
		if err == nil {
			t.Fatal("opened")
		}
		wantParts(t, err, "azure_federated_token_file", "does not exist", "webhook")
	})
	t.Run("file gone later", func(t *testing.T) {
		c := connector(t, ids+file, nil)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		_, err := c.Connect(t.Context())
		var te *azurepg.TokenError
		if !errors.As(err, &te) {
			t.Fatalf("got %v; want a TokenError", err)
		}
		wantParts(t, err, "the federated token file is absent", "webhook")
	})
}

// A proxy that opens TLS shows a certificate that this machine does not trust.
func TestUntrustedTokenServiceIsExplained(t *testing.T) {
	noAzure(t)
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake
	server.StartTLS()
	defer server.Close()
	err := connectError(t, "host=db.example.com user=app azure_credential=client_secret azure_tenant_id=t azure_client_id=c azure_client_secret=HUNTER2 azure_token_timeout=2s", func(cfg *azurepg.Config) {
		cfg.AuthorityHost, cfg.DisableInstanceDiscovery = server.URL, true
	}, "HUNTER2")
	wantParts(t, err, "x509: ", "install current CA certificates")
}
