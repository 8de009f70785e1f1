package azurepg_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/DATA-DOG/go-sqlmock"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// nothingBase is a Base whose connections do nothing: it counts logins.
func nothingBase(logins *atomic.Int64) azurepg.Base {
	return func(*azurepg.Config) (azurepg.OpenFunc, error) {
		return func(context.Context, azurepg.Login) (driver.Conn, error) {
			logins.Add(1)
			return nothingConn{}, nil
		}, nil
	}
}

type nothingConn struct{ driver.Conn }

func (nothingConn) Close() error { return nil }

func TestThousandFirstConnectsAreOneTokenRequest(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app, id := s.AddServicePrincipal("thousand-app"), s.AddManagedIdentity("thousand-identity")
	for _, row := range []struct {
		name, dsn string
		requests  func() int
	}{
		{"client secret", bySecret(s, app), s.Entra.TokenRequests},
		{"managed identity", dsn(s, id.Name, "azure_credential", "managed_identity", "azure_client_id", id.ClientID), s.Identity.TokenRequests},
	} {
		t.Run(row.name, func(t *testing.T) {
			var logins atomic.Int64
			c := connector(t, row.dsn, func(cfg *azurepg.Config) { cfg.Base = nothingBase(&logins) })
			before := row.requests()
			var wg sync.WaitGroup
			start := make(chan struct{})
			for range 1000 {
				wg.Go(func() {
					<-start
					if _, err := c.Connect(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			close(start)
			wg.Wait()
			if got := row.requests() - before; got != 1 || logins.Load() != 1000 {
				t.Errorf("%d token requests for %d logins; want 1 for 1000", got, logins.Load())
			}
		})
	}
}

func TestPoolsOfOneIdentityShareOneToken(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("sharing-app")
	before := s.Entra.TokenRequests()
	for i := range 20 {
		db := open(t, bySecret(s, app, "application_name", fmt.Sprint("pool ", i)))
		wantUser(t, db, app.Name)
	}
	if got := s.Entra.TokenRequests() - before; got != 1 {
		t.Errorf("20 pools made %d token requests; want 1", got)
	}
	wantUser(t, open(t, bySecret(s, app, "azure_refresh_ahead", "10m")), app.Name)
	if got := s.Entra.TokenRequests() - before; got != 2 {
		t.Errorf("a pool with other token settings: %d token requests; want 2", got)
	}
}

func TestHangingTokenServiceDisturbsNoConnectUntilTheTokenEnds(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	const life = 6 * time.Second
	s.Entra.SetLifetime(life)
	c := connector(t, bySecret(s, app), nil)
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends := c.Stats().Tokens.ExpiresOn
	s.Entra.Fault(azurepgtest.Hang)
	db := openConnector(t, c)
	db.SetMaxIdleConns(0)
	logins := 0
	for time.Until(ends) > time.Second {
		// A connect that waited for the token service would hang here.
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := db.PingContext(ctx); err != nil {
			t.Fatalf("%v before the token ends: %v", time.Until(ends), err)
		}
		cancel()
		logins++
	}
	if logins < 3 {
		t.Errorf("%d logins in %v", logins, life)
	}
	<-time.After(time.Until(ends))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var te *azurepg.TokenError
	if err := db.PingContext(ctx); !errors.As(err, &te) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the end: %v; want a TokenError within the caller's deadline", err)
	}
	s.Entra.ClearFaults()
	if err := db.PingContext(t.Context()); err != nil {
		t.Errorf("when the service is back: %v", err)
	}
}

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

// stateError is a server's refusal as a foreign driver would report it.
type stateError struct{ code string }

func (e stateError) Error() string    { return "refused" }
func (e stateError) SQLState() string { return e.code }

func TestBaseSeesOneLoginAtATimeAndFailuresAreUntyped(t *testing.T) {
	noAzure(t)
	var answers []error
	var tokens []string
	base := func(*azurepg.Config) (azurepg.OpenFunc, error) {
		return func(_ context.Context, login azurepg.Login) (driver.Conn, error) {
			tokens = append(tokens, string(login.Password))
			err := answers[0]
			answers = answers[1:]
			return (*nothingConn)(nil), err // typed nil, as lib/pq returns
		}, nil
	}
	for _, row := range []struct {
		name    string
		answers []error
		logins  int
		check   func(error) bool
	}{
		{"refused twice", []error{stateError{"28P01"}, stateError{"28P01"}}, 2, func(err error) bool {
			var ae *azurepg.AuthError
			return errors.As(err, &ae) && ae.Retried && errors.Is(err, stateError{"28P01"})
		}},
		{"refused by the second host", []error{errors.Join(stateError{"57P03"}, stateError{"28P01"}), stateError{"28P01"}}, 2, func(err error) bool {
			var ae *azurepg.AuthError
			return errors.As(err, &ae) && ae.SQLState == "28P01"
		}},
		{"refused, and a bad connection", []error{errors.Join(stateError{"28P01"}, driver.ErrBadConn), errors.Join(stateError{"28P01"}, driver.ErrBadConn)}, 2, func(err error) bool {
			return !errors.Is(err, driver.ErrBadConn) && errors.Is(err, stateError{"28P01"})
		}},
		{"refused for another reason", []error{stateError{"53300"}}, 1, func(err error) bool {
			return !errors.As(err, new(*azurepg.AuthError)) && errors.Is(err, stateError{"53300"})
		}},
		{"bad connection", []error{fmt.Errorf("x: %w", driver.ErrBadConn)}, 1, func(err error) bool { return !errors.Is(err, driver.ErrBadConn) }},
		{"network error", []error{net.ErrClosed}, 1, func(err error) bool { return err == net.ErrClosed }},
		{"refused, then network error", []error{stateError{"28000"}, net.ErrClosed}, 2, func(err error) bool { return err == net.ErrClosed }},
	} {
		t.Run(row.name, func(t *testing.T) {
			answers, tokens = row.answers, nil
			c, err := azurepg.NewConnector(&azurepg.Config{
				Hosts: []azurepg.Host{{Name: "db.example.com"}}, User: "app", Base: base,
				Credential: azurepgtest.NewCredential(""),
			})
			if err != nil {
				t.Fatal(err)
			}
			conn, err := c.Connect(t.Context())
			if conn != nil || err == nil || !row.check(err) || len(tokens) != row.logins {
				t.Errorf("Connect = %v, %v after %d logins; want nil, the error, %d logins", conn, err, len(tokens), row.logins)
			}
			if len(tokens) == 2 && tokens[0] == tokens[1] {
				t.Error("the refused token was sent again")
			}
		})
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

func TestSqlmockServesAsBase(t *testing.T) {
	mockDB, mock, err := sqlmock.NewWithDSN("azurepg-sqlmock", sqlmock.MonitorPingsOption(true))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mockDB.Close() }()
	cred := azurepgtest.NewCredential("")
	c, err := azurepg.NewConnector(&azurepg.Config{
		Hosts: []azurepg.Host{{Name: "db.example.com"}}, User: "app", Credential: cred,
		Base: func(*azurepg.Config) (azurepg.OpenFunc, error) {
			return func(_ context.Context, login azurepg.Login) (driver.Conn, error) {
				if login.User != "app" || string(login.Password) != cred.Tokens()[0] || login.Dial == nil {
					t.Errorf("login = %+v", login)
				}
				return mockDB.Driver().Open("azurepg-sqlmock")
			}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	mock.ExpectPing()
	mock.ExpectQuery("select 1").WillReturnRows(sqlmock.NewRows([]string{"n"}).AddRow(1))
	mock.ExpectClose()
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow("select 1").Scan(&n); err != nil || n != 1 {
		t.Errorf("got %d, %v; want 1", n, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := mock.ExpectationsWereMet(); err != nil {
		t.Error(err)
	}
	if got, ok := c.Driver().(azurepg.Driver); !ok {
		t.Errorf("Driver() is a %T; want azurepg.Driver", got)
	}
}
