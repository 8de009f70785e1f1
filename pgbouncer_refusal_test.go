package azurepg_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// PgBouncer has a code of its own for a password that is not the right one.
func TestTokenRefusedByPgBouncerIsReplacedOnce(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	s.Postgres.SetRefusal("08P01")
	withEachBase(t, s, func(t *testing.T, b base, app *azurepgtest.Principal) {
		c := connector(t, bySecret(s, app), func(cfg *azurepg.Config) { cfg.Base = b.base })
		for _, befall := range []func(){func() {}, s.Entra.RevokeTokens} {
			befall()
			conn, err := c.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
		}
		if got := c.Stats(); got.Refused != 1 || got.Retried != 1 || got.Tokens.Forced != 1 {
			t.Errorf("Stats() = %+v; want one refusal, one retry, one forced fetch", got)
		}
	})
}

func TestRefusalByPgBouncerIsAnAuthErrorThatIsExplained(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	s.Postgres.SetRefusal("08P01")
	withEachBase(t, s, func(t *testing.T, b base, app *azurepgtest.Principal) {
		next := azurepgtest.Record(t, azurepgtest.AsksPassword)
		hosts := append(hostsOf(s.Postgres), toRecorder(t, next, "verify-full").Hosts...)
		err := b.connect(t.Context(), &azurepg.Config{Hosts: hosts, User: "stranger", SSLRootCert: s.Postgres.CAFile, Credential: giving(s.Entra.Mint(app, nil))})
		var refused *azurepg.AuthError
		if !errors.As(err, &refused) || refused.SQLState != "08P01" {
			t.Fatalf("got %v; want an AuthError with 08P01", err)
		}
		wantParts(t, err, "the role is missing, misspelt, or of another principal", app.ObjectID)
		if n := next.Connections(); n != 0 {
			t.Errorf("%d connections to the next host; want none after a refusal", n)
		}
	})
}

// With the same code PgBouncer answers what it could not read.
func TestOtherErrorsWithPgBouncersCodeAreNoRefusal(t *testing.T) {
	for _, words := range []string{"client sent partial pkt in startup phase", "unsupported startup parameter: search_path", "server login has been failing, try again later (server_login_retry)"} {
		for _, b := range bases {
			cred := giving(bearer)
			cfg := answeringServer(t, cred, func(string) *pgproto3.ErrorResponse {
				return &pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: words}
			})
			err := b.connect(t.Context(), cfg)
			if err == nil || errors.As(err, new(*azurepg.AuthError)) || cred.TokenRequests() != 1 {
				t.Errorf("%s, %s: %v and %d token requests; want no AuthError and 1", b.name, words, err, cred.TokenRequests())
			}
		}
	}
}
