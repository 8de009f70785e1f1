package azurepgtest_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"

	"github.com/azurepg/azurepg/azurepgtest"
)

// A client logs in with a password, with TLS or without, and asks the server who it
// takes it for.
type client struct {
	name  string
	login func(s *azurepgtest.Server, role, password string, secured bool) (user string, err error)
	read  func(error) heard
}

// heard is what a client reports of a refusal.
type heard struct{ severity, code, message string }

// clientsOf returns the clients that have to hear what Azure says: the two drivers of
// Go, and libpq by way of psql.
func clientsOf(t *testing.T) []client {
	psql := findPsql(t)
	return []client{
		{"pgx", loginByPgx, func(err error) heard {
			if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
				return heard{e.Severity, e.Code, e.Message}
			}
			return heard{}
		}},
		{"lib/pq", loginByPq, func(err error) heard {
			if e := (*pq.Error)(nil); errors.As(err, &e) {
				return heard{e.Severity, string(e.Code), e.Message}
			}
			return heard{}
		}},
		{"psql", psql, func(err error) heard {
			severity, message, _ := strings.Cut(err.Error(), ":  ")
			return heard{severity[strings.LastIndex(severity, " ")+1:], "", message} // it does not show codes
		}},
	}
}

func loginByPgx(s *azurepgtest.Server, role, password string, secured bool) (user string, err error) {
	ctx := context.Background()
	conn, err := loginWith(ctx, s.Postgres, role, password, func(c *pgx.ConnConfig) {
		if !secured {
			c.TLSConfig = nil
		}
	})
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "select session_user").Scan(&user)
	return user, err
}

func loginByPq(s *azurepgtest.Server, role, password string, secured bool) (user string, err error) {
	config := pq.Config{
		Host: s.Postgres.Host, Port: uint16(s.Postgres.Port), Database: "postgres", User: role, Password: password,
		SSLMode: pq.SSLModeVerifyFull, SSLRootCert: s.Postgres.CAFile,
	}
	if !secured {
		config.SSLMode = pq.SSLModeDisable
	}
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		return "", err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	err = db.QueryRow("select session_user").Scan(&user)
	return user, err
}

// findPsql returns a login by psql. libpq sends a PGPASSWORD of any length whole; what
// ends it is Linux, where a string of the environment has at most 128 KiB. An empty one
// is none, and not sent.
func findPsql(t *testing.T) func(s *azurepgtest.Server, role, password string, secured bool) (string, error) {
	t.Helper()
	// Beside the server first: the one in Debian's PATH is a Perl script around it.
	psql, err := exec.LookPath(filepath.Join(azurepgtest.Installed(t.Context()), "psql"))
	if err != nil {
		if psql, err = exec.LookPath("psql"); err != nil {
			t.Fatalf("%v: install PostgreSQL's client programs, for instance by apt install postgresql-client", err)
		}
	}
	foreign := func(setting string) bool { return strings.HasPrefix(setting, "PG") }
	return func(s *azurepgtest.Server, role, password string, secured bool) (string, error) {
		cmd := exec.Command(psql, "--no-psqlrc", "--no-password", "--no-align", "--tuples-only", "--command=select session_user")
		cmd.Env = append(slices.DeleteFunc(os.Environ(), foreign), s.Env()...)
		cmd.Env = append(cmd.Env, "LC_ALL=C", "PGPASSFILE="+os.DevNull, "PGUSER="+role, "PGPASSWORD="+password)
		if !secured {
			cmd.Env = append(cmd.Env, "PGSSLMODE=disable")
		}
		out, err := cmd.Output()
		if e := (*exec.ExitError)(nil); errors.As(err, &e) {
			return "", errors.New(strings.TrimSpace(string(e.Stderr)))
		}
		return strings.TrimSpace(string(out)), err
	}
}

func TestEveryClientLogsIn(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("my clients' app")
	for _, row := range []struct{ name, token string }{
		{"as it comes", shared.Entra.Mint(app, nil)},
		{"of 60 kB", shared.Entra.Mint(app, &azurepgtest.MintOptions{Claims: map[string]any{"groups": strings.Repeat("x", 45000)}})},
	} {
		for _, c := range clientsOf(t) {
			t.Run(c.name+" with a token "+row.name, func(t *testing.T) {
				if user, err := c.login(shared, app.Name, row.token, true); err != nil || user != app.Name {
					t.Errorf("logged in as %q, %v; want %q", user, err, app.Name)
				}
			})
		}
	}
}

// A refusedLogin is who tries it, how, and what the server answers.
type refusedLogin struct {
	name, role, token string
	code              string // "" is 28P01
	message, reason   string
	plaintext         bool
}

func TestPostgresRefusesWhatAzureRefuses(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	rows := refusedLogins(s)
	clients := clientsOf(t)
	for _, row := range rows {
		want := heard{"FATAL", cmp.Or(row.code, "28P01"), row.message}
		for _, c := range clients {
			t.Run(row.name+", "+c.name, func(t *testing.T) {
				before := s.Postgres.Refusals()
				user, err := c.login(s, row.role, row.token, !row.plaintext)
				if err == nil {
					t.Fatalf("logged in as %q", user)
				}
				assertNoToken(t, s, err.Error())
				if c.name == "psql" && row.token == "" {
					if !strings.Contains(err.Error(), "no password supplied") {
						t.Errorf("got %v; want libpq's own refusal", err)
					}
					return
				}
				got := c.read(err)
				if got.severity != want.severity || got.code != want.code && c.name != "psql" || !strings.HasPrefix(got.message, want.message) {
					t.Errorf("got %q (%v); want %q", got, err, want)
				}
				if reason, n := s.Postgres.LastRefusal(), s.Postgres.Refusals()-before; reason != row.reason || n != 1 {
					t.Errorf("%d refusals, the last one of %q; want 1 of %q", n, reason, row.reason)
				}
			})
		}
	}
	if got := s.Postgres.Logins(); got != 0 {
		t.Errorf("Logins() = %d; want 0", got)
	}
}

// respelled returns token with another last letter that means the same bytes: the
// last four bits of a signature of 2048 are none of it.
func respelled(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + letters[strings.IndexByte(letters, token[last])+1:][:1]
}

// refusedLogins returns the logins that s, to which it adds principals, has to refuse.
func refusedLogins(s *azurepgtest.Server) []refusedLogin {
	app, other, user := s.AddServicePrincipal("app"), s.AddServicePrincipal("other"), s.AddUser("alice@contoso.com")
	good, revoked := s.Entra.Mint(app, nil), s.Entra.Mint(app, nil)
	s.Entra.Revoke(revoked)
	parts := strings.Split(good, ".")
	otherPayload := strings.Split(s.Entra.Mint(other, nil), ".")[1]
	mint := func(o azurepgtest.MintOptions) string { return s.Entra.Mint(app, &o) }
	const (
		format    = "The access token has invalid format."
		expired   = "The access token has expired."
		audience  = "The access token does not have a valid audience claim."
		signature = "signature not by the current key"
		noRole    = "no such role, or it is no principal's"
		newTenant = "11111111-2222-4333-8444-555555555555"
	)
	return []refusedLogin{
		{name: "expired", role: "app", token: mint(azurepgtest.MintOptions{Expires: time.Now().Add(-time.Second)}), message: expired, reason: "expired"},
		{name: "without exp", role: "app", token: mint(azurepgtest.MintOptions{Claims: map[string]any{"exp": nil}}), message: expired, reason: "expired"},
		{name: "not valid yet", role: "app", token: mint(azurepgtest.MintOptions{NotBefore: time.Now().Add(time.Hour)}), message: format, reason: "not valid yet"},
		{name: "forged", role: "app", token: mint(azurepgtest.MintOptions{Forged: true}), message: format, reason: signature},
		{name: "altered", role: "app", token: parts[0] + "." + otherPayload + "." + parts[2], message: format, reason: signature},
		{name: "unsigned", role: "app", token: "eyJhbGciOiJub25lIn0." + parts[1] + ".", message: format, reason: signature},
		{name: "truncated", role: "app", token: good[:len(good)-1], message: format, reason: "not a token"},
		{name: "garbage", role: "app", token: "hunter2", message: format, reason: "not a token"},
		{name: "empty", role: "app", token: "", message: format, reason: "not a token"},
		{name: "with Bearer", role: "app", token: "Bearer " + good, message: format, reason: "not a token"},
		{name: "other audience", role: "app", token: mint(azurepgtest.MintOptions{Audience: "https://vault.azure.net"}), message: audience, reason: "wrong audience"},
		{name: "double slash", role: "app", token: mint(azurepgtest.MintOptions{Audience: "https://ossrdbms-aad.database.windows.net/"}), message: audience, reason: "wrong audience"},
		{name: "other cloud", role: "app", token: mint(azurepgtest.MintOptions{Audience: "https://ossrdbms-aad.database.chinacloudapi.cn"}), message: audience, reason: "wrong audience"},
		{name: "other tenant", role: "app", token: mint(azurepgtest.MintOptions{TenantID: newTenant}), message: format, reason: "another tenant"},
		{name: "other tenant's id", role: "app", token: mint(azurepgtest.MintOptions{Claims: map[string]any{"tid": newTenant}}), message: format, reason: "another tenant"},
		{name: "other tenant's issuer", role: "app", token: mint(azurepgtest.MintOptions{Claims: map[string]any{"iss": "https://sts.windows.net/" + newTenant + "/"}}), message: format, reason: "another tenant"},
		{name: "spelled in another way", role: "app", token: respelled(good), message: format, reason: "not a token"},
		{name: "revoked", role: "app", token: revoked, message: expired, reason: "revoked"},
		{name: "other application", role: "other", token: good, message: "Service Principal oid mismatch for role[other]", reason: "token of another application"},
		{name: "application for user", role: user.Name, token: good, message: "Azure AD user token for role[alice@contoso.com] is neither", reason: "token of an application for the role of a user"},
		{name: "user for application", role: "app", token: s.Entra.Mint(user, nil), message: "Service Principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role[app]", reason: "token of a user for the role of an application"},
		{name: "no role", role: "nobody", token: good, message: `password authentication failed for user "nobody"`, reason: noRole},
		{name: "superuser", role: "postgres", token: good, message: `password authentication failed for user "postgres"`, reason: noRole},
		{name: "too long", role: "app", token: strings.Repeat("x", 65535), code: "08P01", message: "invalid message length", reason: "password longer than 65535 bytes"},
		{name: "plaintext", role: "app", token: good, plaintext: true, code: "28000", reason: "plaintext",
			message: `no pg_hba.conf entry for host "127.0.0.1", user "app", database "postgres", no encryption`},
	}
}

func TestRefusalsFollowTheSettings(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	good := s.Entra.Mint(app, nil)

	s.Postgres.SetRefusal("28000")
	_, err := login(t.Context(), s.Postgres, "app", "x")
	if got := pgError(t, err); got.Code != "28000" {
		t.Errorf("after SetRefusal: got %s; want 28000", got.Code)
	}
	s.Postgres.SetRefusal("")
	currentUser(t, s.Postgres, "app", good)

	s.Entra.RevokeTokens()
	if _, err := login(t.Context(), s.Postgres, "app", good); err == nil {
		t.Error("after RevokeTokens: logged in")
	}
	old := s.Entra.Mint(app, nil)
	currentUser(t, s.Postgres, "app", old)

	if err := s.Entra.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if _, err := login(t.Context(), s.Postgres, "app", old); err == nil {
		t.Error("after RotateKeys: logged in with an old token")
	}
	currentUser(t, s.Postgres, "app", s.Entra.Mint(app, nil))
	if got := s.Postgres.Logins(); got != 3 {
		t.Errorf("Logins() = %d; want 3", got)
	}

	s.Postgres.RejectBefore(true)
	_, err = login(t.Context(), s.Postgres, "app", s.Entra.Mint(app, nil))
	if got := pgError(t, err); got.Code != "28000" || !strings.HasPrefix(got.Message, "no pg_hba.conf entry") {
		t.Errorf("after RejectBefore: got %s %s", got.Code, got.Message)
	}
}
