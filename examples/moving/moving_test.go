package moving

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"gorm.io/gorm"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/exampletest"
)

var azure *azurepgtest.Server

func TestMain(m *testing.M) { os.Exit(exampletest.Serve(m, &azure)) }

// program is a program that asks its database something, and then closes it.
type program func(ctx context.Context, dsn string) (answer string, err error)

const question = "select current_user || ' ' || pg_typeof($1::text[])"

func ofSQL(open func(string) (*sql.DB, error)) program {
	return func(ctx context.Context, dsn string) (answer string, err error) {
		db, err := open(dsn)
		if err != nil {
			return "", err
		}
		defer db.Close()
		err = db.QueryRowContext(ctx, question, "{a,b}").Scan(&answer)
		return answer, err
	}
}

func ofBun(open func(string) (*bun.DB, error)) program {
	return func(ctx context.Context, dsn string) (answer string, err error) {
		db, err := open(dsn)
		if err != nil {
			return "", err
		}
		defer db.Close()
		err = db.NewRaw("select current_user || ' ' || pg_typeof(?::text[])", "{a,b}").Scan(ctx, &answer)
		return answer, err
	}
}

func ofGORM(open func(string) (*gorm.DB, error)) program {
	return ofSQL(func(dsn string) (*sql.DB, error) {
		db, err := open(dsn)
		if err != nil {
			return nil, err
		}
		return db.DB()
	})
}

func ofPool(open func(context.Context, string) (*pgxpool.Pool, error)) program {
	return func(ctx context.Context, dsn string) (answer string, err error) {
		pool, err := open(ctx, dsn)
		if err != nil {
			return "", err
		}
		defer pool.Close()
		err = pool.QueryRow(ctx, question, []string{"a", "b"}).Scan(&answer)
		return answer, err
	}
}

// tracer counts queries.
type tracer struct{ queries atomic.Int32 }

func (c *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries.Add(1)
	return ctx
}
func (*tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func traced(open func(string, pgx.QueryTracer) (*sql.DB, error)) program {
	return func(ctx context.Context, dsn string) (string, error) {
		var c tracer
		answer, err := ofSQL(func(dsn string) (*sql.DB, error) { return open(dsn, &c) })(ctx, dsn)
		if err == nil && c.queries.Load() == 0 {
			err = fmt.Errorf("the tracer saw no query")
		}
		return answer, err
	}
}

// byPassword is a DSN as programs have it before, and byToken the one after.
func byPassword(t *testing.T) string {
	t.Helper()
	if err := azure.Postgres.AddPasswordRole(t.Context(), "before", "secret", azurepgtest.SCRAM); err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword("before", "secret"), Host: azure.Postgres.Addr(), Path: "/postgres",
		RawQuery: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {azure.Postgres.CAFile}}.Encode()}
	return u.String()
}

func byToken() string { return azure.DSN("after") }

// hook is hookBefore with tokens of the role "hook".
func hook(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	p := azure.AddServicePrincipal("before-hook")
	cred := azurepgtest.NewCredential("")
	cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		return azcore.AccessToken{Token: azure.Entra.Mint(p, nil), ExpiresOn: time.Now().Add(time.Hour)}, nil
	})
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	u.User = url.User(p.Name)
	return hookBefore(ctx, u.String(), cred)
}

func TestProgramsDoTheSameAfterTheMove(t *testing.T) {
	for _, row := range []struct {
		name          string
		before, after program
		role          string // before
	}{
		{"lib/pq", ofSQL(pqBefore), ofSQL(pqAfter), "before"},
		{"lib/pq to pgx", ofSQL(pqBefore), ofSQL(stdlibAfter), "before"},
		{"pgx through database/sql", ofSQL(stdlibBefore), ofSQL(stdlibAfter), "before"},
		{"pgx with a tracer", traced(tracedBefore), traced(tracedAfter), "before"},
		{"pgxpool", ofPool(poolBefore), ofPool(poolAfter), "before"},
		{"gorm", ofGORM(gormBefore), ofGORM(gormAfter), "before"},
		{"bun", ofBun(bunBefore), ofBun(bunAfter), "before"},
		{"a hook", ofPool(hook), ofPool(hookAfter), "before-hook"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got, err := row.before(t.Context(), byPassword(t)); err != nil || got != row.role+" text[]" {
				t.Errorf("before: %q, %v", got, err)
			}
			if got, err := row.after(t.Context(), byToken()); err != nil || got != "after text[]" {
				t.Errorf("after: %q, %v", got, err)
			}
		})
	}
}

// The TimeZone of a DSN says for gorm's own way also what a timestamp without
// time zone means in Go; for a driver by name it does not.
func TestTimestampsOfGORMAreUTCAfterTheMove(t *testing.T) {
	const zone = "&TimeZone=Asia/Tokyo"
	for _, row := range []struct {
		name, dsn, want string
		open            func(string) (*gorm.DB, error)
	}{
		{"before", byPassword(t) + zone, "03:04 +0900", gormBefore},
		{"after", byToken() + zone, "03:04 +0000", gormAfter},
	} {
		db, err := row.open(row.dsn)
		if err != nil {
			t.Fatal(err)
		}
		var plain, zoned time.Time
		err = db.Raw("select timestamp '2026-01-02 03:04'").Scan(&plain).Error
		if got := plain.Format("15:04 -0700"); err != nil || got != row.want {
			t.Errorf("%s: timestamp: got %s, %v; want %s", row.name, got, err, row.want)
		}
		err = db.Raw("select timestamptz '2026-01-02 03:04'").Scan(&zoned).Error
		if got := zoned.UTC().Format("01-02 15:04"); err != nil || got != "01-01 18:04" {
			t.Errorf("%s: timestamptz: got %s, %v; want the same before and after", row.name, got, err)
		}
		if pool, err := db.DB(); err != nil || pool.Close() != nil {
			t.Error("closing", err)
		}
	}
}

func TestFailOverNeedsNoNewToken(t *testing.T) {
	db, err := stdlibAfter(azure.DSN("fail-over"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	setPool(db)
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	tokens := azure.Entra.TokenRequests()
	if err := azure.Postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "select 1"); err == nil {
		t.Error("a query worked while the server was down")
	}
	if err := azure.Postgres.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "select 1"); err != nil {
		t.Errorf("after the fail-over: %v", err)
	}
	if n := azure.Entra.TokenRequests() - tokens; n != 0 {
		t.Errorf("%d token requests during the fail-over", n)
	}
}

// bun writes values into its queries, and pgx prepares each text anew.
func TestBunsQueriesFillPgxsCacheUnlessToldOtherwise(t *testing.T) {
	for mode, want := range map[string]int{"cache_statement": 10, "exec": 0} {
		db, err := bunAfter(byToken() + "&default_query_exec_mode=" + mode)
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		var n, prepared int
		for i := range 10 {
			if err := db.NewRaw("select ?", i).Scan(t.Context(), &n); err != nil || n != i {
				t.Errorf("%s: got %d, %v; want %d", mode, n, err, i)
			}
		}
		err = db.NewRaw("select count(*) from pg_prepared_statements where statement like 'select _'").Scan(t.Context(), &prepared)
		if err != nil || prepared != want {
			t.Errorf("%s: %d prepared statements, %v; want %d", mode, prepared, err, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
