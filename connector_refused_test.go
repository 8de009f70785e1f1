package azurepg_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestRevokedTokenIsReplacedOnceForFiftyConnects(t *testing.T) {
	noAzure(t)
	for _, state := range []string{"28P01", "28000"} {
		t.Run(state, func(t *testing.T) {
			s := azurepgtest.Start(t)
			app := s.AddServicePrincipal("app")
			s.Postgres.SetRefusal(state)
			c := connector(t, bySecret(s, app), nil)
			db := openConnector(t, c)
			if err := db.PingContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := s.Entra.TokenRequests()
			s.Entra.RevokeTokens()
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					conn, err := c.Connect(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					_ = conn.Close()
				})
			}
			wg.Wait()
			if got := s.Entra.TokenRequests() - before; got != 1 {
				t.Errorf("%d token requests after the revocation; want 1", got)
			}
			if got := c.Stats(); got.Opened != 51 || got.Failed != 0 || got.Tokens.Forced != 1 {
				t.Errorf("Stats() = %+v; want 51 opened, 0 failed, 1 forced fetch", got)
			}
		})
	}
}

func TestWrongRoleCostsOneFurtherTokenRequestEver(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app, other := s.AddServicePrincipal("app"), s.AddServicePrincipal("other")
	s.Entra.SetLifetime(3 * time.Second) // so that the token is renewed meanwhile
	good := connector(t, bySecret(s, app), nil)
	if _, err := good.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	wrong := connector(t, bySecret(s, app), func(c *azurepg.Config) { c.User = other.Name })
	var refused *azurepg.AuthError
	for end := time.Now().Add(30 * time.Second); wrong.Stats().Tokens.Fetches < 5; {
		if _, err := wrong.Connect(t.Context()); !errors.As(err, &refused) {
			t.Fatalf("got %v; want an AuthError", err)
		}
		if time.Now().After(end) {
			t.Fatal("the token is not renewed")
		}
	}
	if got := wrong.Stats().Tokens.Forced; got != 1 {
		t.Errorf("%d forced fetches over several tokens; want 1", got)
	}
	for _, part := range []string{`role "other"`, "SQLSTATE 28", app.ObjectID, "pgaadauth"} {
		if !strings.Contains(refused.Error(), part) {
			t.Errorf("%v\nlacks %s", refused, part)
		}
	}
	var pe *pgconn.PgError
	if !errors.As(refused, &pe) {
		t.Errorf("%v does not unwrap to the server's error", refused)
	}
	conn, err := good.Connect(t.Context())
	if err != nil {
		t.Fatalf("the right role meanwhile: %v", err)
	}
	_ = conn.Close()
}

// The verdict that a role is wrong is the Connector's own: it must not keep the
// cache from replacing a token that is revoked afterwards.
func TestWrongRoleElsewhereDoesNotHinderTheRightOne(t *testing.T) {
	noAzure(t)
	const wrongRole = "wrong"
	revoked := map[string]bool{}
	base := func(cfg *azurepg.Config) (azurepg.OpenFunc, error) {
		return func(_ context.Context, login azurepg.Login) (driver.Conn, error) {
			if login.User == wrongRole || revoked[string(login.Password)] {
				return nil, stateError{"28P01"}
			}
			return nothingConn{}, nil
		}, nil
	}
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.SetLifetime(24 * time.Hour)
		tokens := azurepg.NewTokenCache(cred, nil)
		connect := func(user string) error {
			c, err := azurepg.NewConnector(&azurepg.Config{Hosts: []azurepg.Host{{Name: "db.example.com"}}, User: user, Base: base, Tokens: tokens})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Connect(t.Context())
			return err
		}
		if err := connect("right"); err != nil {
			t.Fatal(err)
		}
		if err := connect(wrongRole); err == nil {
			t.Fatal("the wrong role logged in")
		}
		time.Sleep(time.Minute)
		for _, token := range cred.Tokens() {
			revoked[token] = true
		}
		if len(revoked) != 2 {
			t.Fatalf("%d tokens so far; want 2: the wrong role forces a fetch", len(revoked))
		}
		if err := connect("right"); err != nil {
			t.Errorf("after the revocation: %v", err)
		}
		if got := cred.TokenRequests(); got != 3 {
			t.Errorf("%d fetches; want 3", got)
		}
	})
}

func TestPlatformThatKeepsTheTokenIsAskedOnce(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	id := s.AddManagedIdentity("id")
	s.Identity.KeepTokens(true)
	c := connector(t, dsn(s, id.Name, "azure_credential", "managed_identity", "azure_client_id", id.ClientID), nil)
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Entra.RevokeTokens()
	for i := range 20 {
		var refused *azurepg.AuthError
		if _, err := c.Connect(t.Context()); !errors.As(err, &refused) || refused.Retried {
			t.Fatalf("got %v; want an AuthError without a retry", err)
		} else if i == 0 && !strings.Contains(err.Error(), "same one again") {
			t.Fatalf("%v\ndoes not say that the same one came back", err)
		}
	}
	if got := s.Postgres.Refusals(); got != 20 {
		t.Errorf("%d refusals; want 20: the same token is not sent twice in one connect", got)
	}
}

func TestRefusalBeforeThePasswordForcesNothing(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	c := connector(t, bySecret(s, app), nil)
	s.Postgres.RejectBefore(true)
	for range 3 {
		var refused *azurepg.AuthError
		if _, err := c.Connect(t.Context()); !errors.As(err, &refused) || !strings.Contains(err.Error(), "firewall") {
			t.Fatalf("got %v; want an AuthError that speaks of the firewall", err)
		}
	}
	if got := s.Entra.TokenRequests(); got != 1 {
		t.Errorf("%d token requests; want 1", got)
	}
	s.Postgres.RejectBefore(false)
	if _, err := c.Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRefusalWithEntraDownSaysBoth(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	c := connector(t, bySecret(s, app), nil)
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Entra.RevokeTokens()
	s.Entra.Fault(azurepgtest.SecretExpired)
	_, err := c.Connect(t.Context())
	var (
		refused *azurepg.AuthError
		token   *azurepg.TokenError
		server  *pgconn.PgError
	)
	if !errors.As(err, &refused) || !errors.As(err, &token) || !errors.As(err, &server) || token.Code != "AADSTS7000222" {
		t.Errorf("got %v; want an AuthError with the server's error and AADSTS7000222", err)
	}
}

func TestSecondRevocationIsCuredLikeTheFirst(t *testing.T) {
	noAzure(t)
	cred := azurepgtest.NewCredential("")
	cred.SetLifetime(24 * time.Hour)
	good := 0 // the index of the token that is not revoked
	base := func(*azurepg.Config) (azurepg.OpenFunc, error) {
		return func(_ context.Context, login azurepg.Login) (driver.Conn, error) {
			if slices.Index(cred.Tokens(), string(login.Password)) != good {
				return nil, stateError{"28P01"}
			}
			return nothingConn{}, nil
		}, nil
	}
	synctest.Test(t, func(t *testing.T) {
		c, err := azurepg.NewConnector(&azurepg.Config{
			Hosts: []azurepg.Host{{Name: "db.example.com"}}, User: "app", Base: base, Credential: cred,
		})
		if err != nil {
			t.Fatal(err)
		}
		for good = range 4 {
			if _, err := c.Connect(t.Context()); err != nil {
				t.Errorf("after revocation %d: %v", good, err)
			}
			time.Sleep(3 * time.Hour)
		}
	})
}
