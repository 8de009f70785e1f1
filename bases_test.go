package azurepg_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	azurepq "github.com/azurepg/azurepg/pq"
)

// bases are the base drivers. What is promised of azurepg holds for each row:
// the tests of this file and those over doors and loginDoors run for all.
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

// silences are hosts that say no more after some point of a login.
var silences = []struct {
	name, attrs string
	say         func(conn net.Conn)
}{
	{"before the request for a password", "", func(net.Conn) {}},
	{"after the password", "", func(conn net.Conn) {
		send(conn, &pgproto3.AuthenticationCleartextPassword{})
		readMessage(conn)
	}},
	{"before it is ready", "", func(conn net.Conn) {
		send(conn, &pgproto3.AuthenticationCleartextPassword{})
		readMessage(conn)
		send(conn, &pgproto3.AuthenticationOk{})
	}},
	{"when asked what kind of server it is", "primary", letIn},
}

// letIn takes a client through the login.
func letIn(conn net.Conn) {
	send(conn, &pgproto3.AuthenticationCleartextPassword{})
	readMessage(conn)
	send(conn, &pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "server_version", Value: "15.0"},
		&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
}

// silent is a host that falls silent and notes when the client has hung up.
func silent(t *testing.T, say func(net.Conn)) (azurepg.Host, <-chan struct{}) {
	hungUp := make(chan struct{})
	return scripted(t, func(n int64, conn net.Conn) {
		if n > 1 {
			return // pgx's cancel request
		}
		say(conn)
		for len(readMessage(conn)) > 0 {
		}
		close(hungUp)
	}), hungUp
}

func TestSilentServerEndsWithTheContextAndIsLeft(t *testing.T) {
	noAzure(t)
	patient := throughHosts(t, sharedAzure(t))
	for _, silence := range silences {
		for _, door := range loginDoors {
			for _, limit := range []string{"ctx", "connect_timeout", "cancel"} {
				t.Run(silence.name+", "+door+", "+limit, func(t *testing.T) {
					t.Parallel()
					host, hungUp := silent(t, silence.say)
					cfg := patient.Clone()
					cfg.Hosts, cfg.TargetSessionAttrs, cfg.ConnectTimeout = []azurepg.Host{host}, silence.attrs, time.Minute
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					want := context.DeadlineExceeded
					switch limit {
					case "ctx":
						ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
						defer cancel()
					case "connect_timeout":
						cfg.ConnectTimeout = 100 * time.Millisecond
					case "cancel":
						want = context.Canceled
						time.AfterFunc(100*time.Millisecond, cancel)
					}
					start := time.Now()
					if err := doors[door](ctx, cfg); !errors.Is(err, want) {
						t.Errorf("got %v; want %v", err, want)
					}
					if took := time.Since(start); took > 10*time.Second {
						t.Errorf("took %v; want about 0.1 s", took)
					}
					select {
					case <-hungUp:
					case <-time.After(10 * time.Second):
						t.Error("the connection was left open")
					}
				})
			}
		}
	}
}

func TestFailOverGoesOnUntilAHostLetsUsIn(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := azurepg.Host{Name: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	_ = l.Close()
	for _, door := range loginDoors {
		t.Run(door, func(t *testing.T) {
			asked, left := make(chan string, 100), make(chan struct{})
			note := func(what string, f func(net.Conn)) azurepg.Host {
				return scripted(t, func(n int64, conn net.Conn) {
					if n == 1 {
						asked <- what
						f(conn)
					}
				})
			}
			starting := note("starting", func(conn net.Conn) { send(conn, fatal("57P03")) })
			md5 := note("md5", func(conn net.Conn) { send(conn, &pgproto3.AuthenticationMD5Password{}) })
			standby := note("read-only", func(conn net.Conn) {
				letIn(conn)
				readMessage(conn) // the question
				send(conn, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("x"), DataTypeOID: 25}}},
					&pgproto3.DataRow{Values: [][]byte{[]byte("on")}}, &pgproto3.CommandComplete{CommandTag: []byte("SHOW")}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
				for len(readMessage(conn)) > 0 {
				}
				close(left)
			})
			hangsUp := note("hangs up", func(net.Conn) {})
			cfg := throughHosts(t, s, closed, starting, md5, standby, hangsUp)
			cfg.TargetSessionAttrs = "read-write"
			before := s.Postgres.Logins()
			if err := doors[door](t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			close(asked)
			select {
			case <-left:
			case <-time.After(10 * time.Second):
				t.Error("the connection to a host that was not the right one was left open")
			}
			if got := fmt.Sprint(slices.Collect(func(yield func(string) bool) {
				for what := range asked {
					if !yield(what) {
						return
					}
				}
			})); got != "[starting md5 read-only hangs up]" || s.Postgres.Logins() == before {
				t.Errorf("asked %s, and %d logins", got, s.Postgres.Logins()-before)
			}
		})
	}
}

func TestNoOtherHostIsAskedOnceOneHasDecided(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	for _, code := range []string{"28P01", "28000", "3D000", "42501"} {
		for _, door := range loginDoors {
			t.Run(code+", "+door, func(t *testing.T) {
				second := make(chan struct{}, 10)
				cfg := throughHosts(t, s)
				cfg.Hosts = []azurepg.Host{scripted(t, func(_ int64, conn net.Conn) {
					send(conn, &pgproto3.AuthenticationCleartextPassword{})
					readMessage(conn)
					send(conn, fatal(code))
				}), scripted(t, func(int64, net.Conn) { second <- struct{}{} })}
				if err := doors[door](t.Context(), cfg); err == nil {
					t.Error("connected")
				}
				if len(second) > 0 {
					t.Error("the second host was asked")
				}
			})
		}
	}
}

// Tunnels and replicas have one name and port, and several addresses.
func TestHostsThatDifferInTheirAddressAreTriedEach(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	starting := scripted(t, func(_ int64, conn net.Conn) { send(conn, fatal("57P03")) })
	forward(t, fmt.Sprintf("127.0.0.2:%d", starting.Port), s.Postgres.Addr())
	cfg := throughHosts(t, s)
	cfg.Hosts = []azurepg.Host{{Name: "db.invalid", Port: starting.Port, Addr: "127.0.0.1"}, {Name: "db.invalid", Port: starting.Port, Addr: "127.0.0.2"}}
	for _, b := range bases {
		t.Run(b.name, func(t *testing.T) {
			if err := b.connect(t.Context(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
}

// forward passes connections on from one address to another.
func forward(t *testing.T, from, to string) {
	t.Helper()
	l, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	pass := func(from, to net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = from.Close(), to.Close()
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go pass(client, server)
			go pass(server, client)
		}
	}()
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
