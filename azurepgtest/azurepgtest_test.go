package azurepgtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
)

const databaseScope = "https://ossrdbms-aad.database.windows.net/.default"

// shared is one Server for the tests that do not change what others see of it.
var shared *azurepgtest.Server

func TestMain(m *testing.M) {
	if os.Getenv("AZUREPGTEST_CHILD") != "" {
		os.Exit(m.Run()) // of a test that has a Server or starts one
	}
	var err error
	if shared, err = azurepgtest.New(nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := shared.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// withoutPostgres starts a Server for tests of tokens alone.
func withoutPostgres(t *testing.T) *azurepgtest.Server {
	t.Helper()
	s, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// clientOptions leads a credential of azidentity to s. Retries would wait.
func clientOptions(s *azurepgtest.Server) azcore.ClientOptions {
	return azcore.ClientOptions{
		Transport: s.Entra.Transport(),
		Retry:     policy.RetryOptions{MaxRetries: -1},
	}
}

// login logs in with pgx as role, with token for a password.
func login(ctx context.Context, p *azurepgtest.Postgres, role, token string) (*pgx.Conn, error) {
	return loginWith(ctx, p, role, token, func(*pgx.ConnConfig) {})
}

func loginWith(ctx context.Context, p *azurepgtest.Postgres, role, token string, change func(*pgx.ConnConfig)) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("host=localhost user=nobody dbname=postgres sslmode=disable")
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(p.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config.Host, config.Port = p.Host, uint16(p.Port)
	config.User, config.Password = role, token
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: p.Host}
	change(config)
	return pgx.ConnectConfig(ctx, config)
}

// currentUser logs in and asks the server who it takes us for.
func currentUser(t *testing.T, p *azurepgtest.Postgres, role, token string) string {
	t.Helper()
	conn, err := login(t.Context(), p, role, token)
	if err != nil {
		t.Fatalf("login as %q: %v", role, err)
	}
	defer conn.Close(context.Background())
	var user string
	if err := conn.QueryRow(t.Context(), "select session_user").Scan(&user); err != nil {
		t.Fatal(err)
	}
	return user
}

// getToken asks cred for a token of the database.
func getToken(t *testing.T, cred azcore.TokenCredential) azcore.AccessToken {
	t.Helper()
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{databaseScope}})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// assertNoToken fails if text holds a token of s, or the better part of one.
func assertNoToken(t *testing.T, s *azurepgtest.Server, text string) {
	t.Helper()
	for _, token := range s.Entra.Tokens() {
		if strings.Contains(text, token[len(token)/4:len(token)/2]) {
			t.Error("a token has leaked")
		}
	}
}

// within waits for what nobody can tell us, as of other processes.
func within(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s after %v", what, limit)
		}
	}
}
