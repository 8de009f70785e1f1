package azurepg_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	azurepq "github.com/azurepg/azurepg/pq"
)

// bases are the base drivers. What is promised of azurepg holds for each row:
// the tests of this file, of bases_hosts_test.go and those over doors and loginDoors run for all.
var bases = []base{
	{
		name: "pgx", door: "database/sql", driver: azurepg.DriverName,
		isOwn:   func(c any) bool { _, ok := c.(*stdlib.Conn); return ok },
		isBare:  func(err error) bool { _, ok := err.(*pgconn.PgError); return ok },
		foreign: "binary_parameters=yes",
	},
	{
		name: "lib/pq", door: "database/sql over lib/pq", driver: azurepq.DriverName, base: azurepq.Base,
		isOwn:   func(c any) bool { return fmt.Sprintf("%T", c) == "*pq.conn" }, // it is not exported
		isBare:  func(err error) bool { _, ok := err.(*pq.Error); return ok },
		foreign: "statement_cache_capacity=9",
	},
}

type base struct {
	name    string
	door    string // its name among doors
	driver  string // the name for sql.Open
	base    azurepg.Base
	isOwn   func(conn any) bool  // is it the base's own connection?
	isBare  func(err error) bool // is it the base's own error of the server, not wrapped?
	foreign string               // a setting of another base
}

// connect is the base's door.
func (b base) connect(ctx context.Context, cfg *azurepg.Config) error {
	cfg = cfg.Clone()
	if cfg.Base = b.base; b.base != nil {
		cfg.ConfigurePgx = nil
	}
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		return err
	}
	conn, err := c.Connect(ctx)
	if err != nil {
		if conn != nil {
			return errors.New("a typed nil came with the error") // which no test takes for its own
		}
		return err
	}
	return conn.Close()
}

func (b base) open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(b.driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// withBases adds the doors of bases to others.
func withBases(others map[string]func(context.Context, *azurepg.Config) error) map[string]func(context.Context, *azurepg.Config) error {
	for _, b := range bases {
		others[b.door] = b.connect
	}
	return others
}

// loginDoors are the doors at which a driver logs in.
var loginDoors = slices.DeleteFunc(slices.Sorted(maps.Keys(doors)), func(door string) bool { return door == "Login.Dial" })

// withEachBase runs f as a subtest for each base, with a principal of its own, and so
// a token cache of its own.
func withEachBase(t *testing.T, s *azurepgtest.Server, f func(t *testing.T, b base, app *azurepgtest.Principal)) {
	t.Helper()
	for _, b := range bases {
		name := strings.ToLower(strings.ReplaceAll(t.Name()+"-"+b.name, "/", "-"))
		app := s.AddServicePrincipal(name[max(0, len(name)-63):])
		t.Run(b.name, func(t *testing.T) { f(t, b, app) })
	}
}

func TestBasesOfOneIdentityShareOneToken(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	app := s.AddServicePrincipal("base-sharing")
	before := s.Entra.TokenRequests()
	for _, b := range bases {
		wantUser(t, b.open(t, bySecret(s, app)), app.Name)
	}
	if got := s.Entra.TokenRequests() - before; got != 1 {
		t.Errorf("%d token requests by %d bases; want 1", got, len(bases))
	}
}

func TestBaseHandsOutItsOwnConnectionsAndErrors(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	withEachBase(t, s, func(t *testing.T, b base, app *azurepgtest.Principal) {
		db := b.open(t, bySecret(s, app))
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.Raw(func(c any) error {
			if !b.isOwn(c) {
				t.Errorf("the connection is a %T", c)
			}
			return nil
		})
		_, err = conn.ExecContext(t.Context(), "select 1/0")
		var state interface{ SQLState() string }
		if !b.isBare(err) || !errors.As(err, &state) || state.SQLState() != "22012" {
			t.Errorf("got %T %v; want the base's own error, 22012", err, err)
		}
	})
}

func TestReopenedDriverHasTheSameBase(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	withEachBase(t, s, func(t *testing.T, b base, app *azurepgtest.Principal) {
		byCode := connector(t, bySecret(s, app), func(cfg *azurepg.Config) { cfg.Base = b.base })
		byName := b.open(t, bySecret(s, app)).Driver()
		again, err := byName.(driver.DriverContext).OpenConnector(bySecret(s, app))
		if err != nil {
			t.Fatal(err)
		}
		if again.Driver() != byName {
			t.Error("the Connector does not return the Driver that it was opened by")
		}
		for how, d := range map[string]driver.Driver{"by name": byName, "by code": byCode.Driver()} {
			conn, err := d.Open(bySecret(s, app))
			if err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			if !b.isOwn(conn) {
				t.Errorf("%s: reopened as a %T", how, conn)
			}
			_ = conn.Close()
		}
	})
}

func TestSettingsMeanTheSameToEveryBase(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	rows := []struct{ key, value, ask, want string }{
		{"application_name", "my app", "application_name", "my app"},
		{"fallback_application_name", "other", "application_name", "other"},
		{"options", "-c work_mem=1234kB -c geqo=off", "work_mem", "1234kB"},
		{"search_path", "a, b", "search_path", "a, b"},
		{"Search_Path", "c", "search_path", "c"},
		{"timezone", "Asia/Tokyo", "TimeZone", "Asia/Tokyo"},
		{"client_encoding", "utf-8", "client_encoding", "UTF8"},
		{"datestyle", "iso,mdy", "DateStyle", "ISO, MDY"},
		{"geqo", "off", "geqo", "off"},
		{"my.setting", "x y'z", "my.setting", "x y'z"},
		{"dbname", "template1", "", "template1"},
		{"connect_timeout", "0", "server_encoding", "UTF8"},
		{"ssl_min_protocol_version", "TLSv1.3", "server_encoding", "UTF8"},
		{"hostaddr", "127.0.0.1", "server_encoding", "UTF8"},
		{"target_session_attrs", "primary", "transaction_read_only", "off"},
		{"target_session_attrs", "prefer-standby", "transaction_read_only", "off"},
		{"keepalives", "1", "server_encoding", "UTF8"},
	}
	withEachBase(t, s, func(t *testing.T, b base, app *azurepgtest.Principal) {
		for _, row := range rows {
			t.Run(row.key+"="+row.value, func(t *testing.T) {
				dsn := bySecret(s, app, row.key, row.value)
				if row.key == "dbname" {
					dsn = strings.Replace(bySecret(s, app), "/postgres?", "/template1?", 1)
				}
				query, args := "select current_setting($1)", []any{row.ask}
				if row.ask == "" {
					query, args = "select current_database()", nil
				}
				var got string
				err := b.open(t, strings.ReplaceAll(dsn, "+", "%20")).QueryRow(query, args...).Scan(&got)
				if err != nil || got != row.want {
					t.Errorf("got %q, %v; want %q", got, err, row.want)
				}
			})
		}
	})
}

func TestSettingOfAnotherBaseIsRefusedByName(t *testing.T) {
	for _, b := range bases {
		for _, row := range []struct{ setting, key string }{
			{b.foreign, strings.Split(b.foreign, "=")[0]}, {"pool_max_conns=3", "pool_max_conns"},
			{"sslmode=disable", "sslmode"}, {"password=HUNTER2", "password"},
		} {
			_, err := sql.Open(b.driver, "host=db.example.com "+row.setting)
			var de *azurepg.DSNError
			if !errors.As(err, &de) || de.Key != row.key || strings.Contains(err.Error(), "HUNTER2") {
				t.Errorf("%s, %s: got %v; want a DSNError with that key", b.name, row.setting, err)
			}
		}
	}
}

func TestRefusalsAreTheSameWithEveryBase(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	other := s.AddServicePrincipal("another")
	withEachBase(t, s, func(t *testing.T, b base, app *azurepgtest.Principal) {
		useBase := func(cfg *azurepg.Config) { cfg.Base = b.base }
		c := connector(t, bySecret(s, app), useBase)
		connect := func(c *azurepg.Connector) error {
			conn, err := c.Connect(t.Context())
			if err == nil {
				err = conn.Close()
			}
			return err
		}
		if err := connect(c); err != nil {
			t.Fatal(err)
		}

		s.Postgres.RejectBefore(true)
		var refused *azurepg.AuthError
		err := connect(c)
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "was not sent") || !strings.Contains(err.Error(), "firewall") {
			t.Errorf("refused before the password: %v; want an AuthError that says so", err)
		}
		s.Postgres.RejectBefore(false)

		s.Entra.RevokeTokens()
		if err := connect(c); err != nil {
			t.Errorf("with a revoked token: %v; want a login with a new one", err)
		}
		if got := c.Stats(); got.Retried != 1 || got.Refused != 2 || got.Tokens.Forced != 1 || got.Opened != 2 {
			t.Errorf("Stats() = %+v; want 2 opened, 2 refused, 1 retried, 1 forced fetch", got)
		}

		wrong := connector(t, bySecret(s, app), func(cfg *azurepg.Config) { cfg.Base, cfg.User = b.base, other.Name })
		err = connect(wrong)
		var server interface{ SQLState() string }
		if !errors.As(err, &refused) || !errors.As(err, &server) || server.SQLState() != "28P01" {
			t.Fatalf("as another's role: %v; want an AuthError with the server's error", err)
		}
		if refused.User != other.Name || !strings.Contains(err.Error(), "oid mismatch") || !strings.Contains(err.Error(), app.ObjectID) {
			t.Errorf("got %v; want the role, the server's words and whose token it is", err)
		}
	})
}

func TestCancelledQueryEndsOnTheServer(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	withEachBase(t, s, func(t *testing.T, b base, app *azurepgtest.Principal) {
		db := b.open(t, bySecret(s, app))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := db.ExecContext(ctx, "select pg_sleep(30)"); err == nil || time.Since(start) > 20*time.Second {
			t.Fatalf("got %v after %v", err, time.Since(start))
		}
		running := 1
		for end := time.Now().Add(20 * time.Second); running > 0 && time.Now().Before(end); {
			if err := db.QueryRow(`select count(*) from pg_stat_activity where usename = current_user and state = 'active' and pid <> pg_backend_pid()`).Scan(&running); err != nil {
				t.Fatal(err)
			}
		}
		if running > 0 {
			t.Error("the query still runs")
		}
	})
}

func TestNothingThatABaseHoldsShowsTheToken(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	withEachBase(t, s, func(t *testing.T, b base, app *azurepgtest.Principal) {
		w := newWitness(t)
		cfg, err := azurepg.ParseDSN(bySecret(s, app))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Base, cfg.Logger = b.base, w.logger
		c, err := azurepg.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		db := openConnector(t, c)
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		w.print("Connector", c)
		w.print("*sql.DB", db)
		_ = conn.Raw(func(own any) error { w.print("connection", own); return nil })
		w.wantNone(t, append(s.Entra.Tokens(), app.Secret)...)
	})
}

// The root knows no other base than pgx: who does not import package pq does not
// get lib/pq.
func TestProgramOfTheRootAloneLinksNoOtherBase(t *testing.T) {
	for root, want := range map[string]bool{"github.com/azurepg/azurepg": false, "github.com/azurepg/azurepg/pq": true} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", root).Output()
		if err != nil {
			t.Fatal(err)
		}
		deps := strings.Fields(string(out))
		if got := slices.Contains(deps, "github.com/lib/pq"); got != want || len(deps) < 100 {
			t.Errorf("%s: links lib/pq: %v of %d packages; want %v", root, got, len(deps), want)
		}
	}
}
