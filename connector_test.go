package azurepg_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/DATA-DOG/go-sqlmock"

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
	const life, login = 8 * time.Second, 3 * time.Second // what a login takes at most
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
	for time.Until(ends) > login {
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
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
