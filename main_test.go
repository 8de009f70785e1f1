package azurepg_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// azure is the server that most tests of this package share; the first to ask
// for it starts it. Tests that make it misbehave start their own.
var (
	azure = sync.OnceValues(func() (*azurepgtest.Server, error) {
		s, err := azurepgtest.New(nil)
		started = s
		return s, err
	})
	started *azurepgtest.Server
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		if err := started.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func sharedAzure(tb testing.TB) *azurepgtest.Server {
	tb.Helper()
	s, err := azure()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// dsn is a URL for s that logs in as user with these azure_* and other keys.
func dsn(s *azurepgtest.Server, user string, keys ...string) string {
	q := url.Values{"sslrootcert": {s.Postgres.CAFile}}
	for i := 0; i < len(keys); i += 2 {
		q.Set(keys[i], keys[i+1])
	}
	u := url.URL{Scheme: "postgres", Host: s.Postgres.Addr(), Path: "/postgres", RawQuery: q.Encode()}
	if user != "" {
		u.User = url.User(user)
	}
	return u.String()
}

// bySecret is a DSN for p's client secret.
func bySecret(s *azurepgtest.Server, p *azurepgtest.Principal, keys ...string) string {
	return dsn(s, p.Name, append([]string{"azure_credential", "client_secret", "azure_tenant_id", p.TenantID,
		"azure_client_id", p.ClientID, "azure_client_secret", p.Secret}, keys...)...)
}

// giving returns a credential whose token is always this one.
func giving(token string) *azurepgtest.Credential {
	cred := azurepgtest.NewCredential("")
	cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, nil
	})
	return cred
}

func open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(azurepg.DriverName, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// connector is a Connector for dsn, changed by change if that is not nil.
func connector(tb testing.TB, dsn string, change func(*azurepg.Config)) *azurepg.Connector {
	tb.Helper()
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	if change != nil {
		change(cfg)
	}
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func openConnector(tb testing.TB, c *azurepg.Connector) *sql.DB {
	tb.Helper()
	db := sql.OpenDB(c)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// openPool is a pgxpool that logs in as c does.
func openPool(t *testing.T, c *azurepg.Connector) *pgxpool.Pool {
	t.Helper()
	config, err := c.PoolConfig()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func wantUser(tb testing.TB, db *sql.DB, want string) {
	tb.Helper()
	var got string
	if err := db.QueryRowContext(context.Background(), "select current_user").Scan(&got); err != nil {
		tb.Fatal(err)
	}
	if got != want {
		tb.Errorf("logged in as %q; want %q", got, want)
	}
}
