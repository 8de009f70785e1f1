package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/DATA-DOG/go-sqlmock"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

func TestMain(m *testing.M) { os.Exit(exampletest.Main(m)) }

func TestProgramRunsWithADSNAndNothingElse(t *testing.T) {
	exampletest.Prints(t, main, "there was a lamp: true\n")
}

// mockedShop is a shop over go-sqlmock as the base, with a credential that asks
// nobody. Each login goes to onLogin.
func mockedShop(t *testing.T, credential *azurepgtest.Credential, onLogin func(azurepg.Login)) (*shop, sqlmock.Sqlmock) {
	t.Helper()
	mockDB, mock, err := sqlmock.NewWithDSN(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mockDB.Close() })
	cfg, err := azurepg.ParseDSN("postgres://mydb.postgres.database.azure.com/shop")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credential = credential
	cfg.Base = func(*azurepg.Config) (azurepg.OpenFunc, error) {
		return func(_ context.Context, login azurepg.Login) (driver.Conn, error) {
			onLogin(login)
			return mockDB.Driver().Open(t.Name()) // a further connection of the same mock
		}, nil
	}
	s, err := openShop(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	return s, mock
}

func TestArticleThatExistsIsToldApart(t *testing.T) {
	diskFull := errors.New("disk full")
	var user string
	s, mock := mockedShop(t, azurepgtest.NewCredential("alice@contoso.com"), func(l azurepg.Login) { user = l.User })
	for _, row := range []struct{ refusal, want error }{
		{nil, nil},
		{&pgconn.PgError{Code: "23505"}, errExists},
		{diskFull, diskFull},
	} {
		mock.ExpectBegin()
		insert := mock.ExpectExec("insert into sqlmock_articles").WithArgs("lamp")
		if row.refusal == nil {
			insert.WillReturnResult(sqlmock.NewResult(0, 1))
			mock.ExpectCommit()
		} else {
			insert.WillReturnError(row.refusal)
			mock.ExpectRollback()
		}
		if err := s.add(t.Context(), "lamp"); !errors.Is(err, row.want) {
			t.Errorf("got %v; want %v", err, row.want)
		}
		if err := mock.ExpectationsWereMet(); err != nil {
			t.Error(err)
		}
	}
	if user != "alice@contoso.com" {
		t.Errorf("logged in as %q; want the name in the token", user)
	}
}

// A day passes at once: connections live half an hour, tokens an hour.
func TestEachLoginHasATokenThatIsValidThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		credential := azurepgtest.NewCredential("alice@contoso.com")
		var sent []string
		s, mock := mockedShop(t, credential, func(l azurepg.Login) { sent = append(sent, string(l.Password)) })
		s.db.SetConnMaxLifetime(30 * time.Minute)
		for range 24 {
			mock.ExpectBegin()
			mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
			mock.ExpectCommit()
			if err := s.add(t.Context(), "lamp"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			synctest.Wait() // for the pool: go-sqlmock takes no expectation while a connection is closed
		}
		if !slices.Equal(sent, credential.Tokens()) || len(sent) != 24 {
			t.Errorf("%d logins with %d tokens; want 24, each with the newest", len(sent), len(credential.Tokens()))
		}
	})
}
