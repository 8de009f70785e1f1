package azurepgtest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg/azurepgtest"
)

// pgError returns the server's error, or fails.
func pgError(t *testing.T, err error) *pgconn.PgError {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Fatalf("got %v; want an error of the server", err)
	}
	return pg
}

func TestRoleNamesOfAllShapesLogIn(t *testing.T) {
	t.Parallel()
	s := shared
	for _, p := range []*azurepgtest.Principal{
		s.AddServicePrincipal(`my app`),
		s.AddServicePrincipal(`sp_user@db`),
		s.AddServicePrincipal(`O'Brien "x" \ / % ;`),
		s.AddServicePrincipal(`Größe 漢字`),
		s.AddUser("alice@contoso.com"),
		s.AddUser("bob_fabrikam.com#EXT#@contoso.onmicrosoft.com"),
		s.AddManagedIdentity("identity"),
		s.AddSystemIdentity("vm"),
	} {
		if got := currentUser(t, s.Postgres, p.Name, s.Entra.Mint(p, nil)); got != p.Name {
			t.Errorf("logged in as %q; want %q", got, p.Name)
		}
	}
}

func TestGroupIsForItsMembers(t *testing.T) {
	t.Parallel()
	member, user, other := shared.AddServicePrincipal("member"), shared.AddUser("member@contoso.com"), shared.AddServicePrincipal("no member")
	group := shared.AddGroup("my group", member, user)
	for _, p := range []*azurepgtest.Principal{member, user} {
		if got := currentUser(t, shared.Postgres, group.Name, shared.Entra.Mint(p, nil)); got != group.Name {
			t.Errorf("logged in as %q; want %q", got, group.Name)
		}
	}
	_, err := login(t.Context(), shared.Postgres, group.Name, shared.Entra.Mint(other, nil))
	if got := pgError(t, err); got.Message != `password authentication failed for user "my group"` {
		t.Errorf("got %q", got.Message)
	}
}

func TestTooLongPasswordIsRefusedAndTheLongestIsNot(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("long")
	_, err := login(t.Context(), shared.Postgres, app.Name, strings.Repeat("x", 65535))
	if got := pgError(t, err); got.Code != "08P01" {
		t.Errorf("got %s %s; want 08P01", got.Code, got.Message)
	}
	token := shared.Entra.Mint(app, &azurepgtest.MintOptions{Claims: map[string]any{"groups": strings.Repeat("x", 45000)}})
	if len(token) < 60000 || len(token) > 65534 {
		t.Fatalf("the token has %d characters; want one that just fits", len(token))
	}
	currentUser(t, shared.Postgres, app.Name, token)
}

func TestPlaintextIsRefused(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("plaintext")
	_, err := loginWith(t.Context(), shared.Postgres, app.Name, shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) { c.TLSConfig = nil })
	got := pgError(t, err)
	if want := `no pg_hba.conf entry for host "127.0.0.1", user "plaintext", database "postgres", no encryption`; got.Code != "28000" || got.Message != want {
		t.Errorf("got %s %s; want 28000 %s", got.Code, got.Message, want)
	}
}

func TestDirectTLSNeedsALPN(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("direct")
	conn, err := loginWith(t.Context(), shared.Postgres, app.Name, shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) {
		c.SSLNegotiation = "direct"
		c.TLSConfig.NextProtos = []string{"postgresql"}
	})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(context.Background())
	if _, err := loginWith(t.Context(), shared.Postgres, app.Name, "x", func(c *pgx.ConnConfig) { c.SSLNegotiation = "direct" }); err == nil {
		t.Error("direct TLS without ALPN: logged in")
	}
}

func TestGSSIsDeclined(t *testing.T) {
	t.Parallel()
	conn, err := net.Dial("tcp", shared.Postgres.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, tt := range []struct {
		message pgproto3.FrontendMessage
		want    byte
	}{{&pgproto3.GSSEncRequest{}, 'N'}, {&pgproto3.SSLRequest{}, 'S'}} {
		packet, _ := tt.message.Encode(nil)
		conn.Write(packet)
		got := make([]byte, 1)
		if _, err := io.ReadFull(conn, got); err != nil || got[0] != tt.want {
			t.Fatalf("%T: got %q, %v; want %q", tt.message, got, err, tt.want)
		}
	}
	if err := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake(); err != nil {
		t.Error(err)
	}
}

func TestSessionIsARealOne(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	app := shared.AddServicePrincipal("session")
	database := fmt.Sprintf("my database %d", time.Now().UnixNano()) // a server of AZUREPG_TEST_POSTGRES may be shared
	if err := shared.Postgres.CreateDatabase(ctx, database); err != nil {
		t.Fatal(err)
	}
	conn, err := loginWith(ctx, shared.Postgres, app.Name, shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) {
		c.Database = database
		c.RuntimeParams["application_name"] = "my tests"
		c.MaxProtocolVersion = "3.2"
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var name string
	if err := conn.QueryRow(ctx, "select current_setting('application_name')").Scan(&name); err != nil || name != "my tests" {
		t.Errorf("application_name is %q, %v; want my tests", name, err)
	}
	if got := conn.PgConn().ParameterStatus("server_encoding"); got != "UTF8" {
		t.Errorf("server_encoding is %q; want UTF8", got)
	}
	if _, err := conn.Exec(ctx, "create table t (x int, y text)"); err != nil {
		t.Fatal(err)
	}
	rows := make([][]any, 20000) // more than the buffers on the way hold
	for i := range rows {
		rows[i] = []any{int32(i), strings.Repeat("x", 100)}
	}
	if n, err := conn.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"x", "y"}, pgx.CopyFromRows(rows)); err != nil || n != 20000 {
		t.Errorf("CopyFrom: %d, %v", n, err)
	}
	var sum int
	if err := conn.QueryRow(ctx, "select sum(length(y)) from t").Scan(&sum); err != nil || sum != 2000000 {
		t.Errorf("sum is %d, %v; want 2000000", sum, err)
	}
}

func TestErrorsOfTheRealServerArePassedOn(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("passed on")
	_, err := loginWith(t.Context(), shared.Postgres, app.Name, shared.Entra.Mint(app, nil), func(c *pgx.ConnConfig) { c.Database = "missing" })
	if got := pgError(t, err); got.Code != "3D000" {
		t.Errorf("got %s %s; want 3D000", got.Code, got.Message)
	}
}

func TestCancelRequestReachesTheServer(t *testing.T) {
	t.Parallel()
	app := shared.AddServicePrincipal("cancel")
	conn, err := login(t.Context(), shared.Postgres, app.Name, shared.Entra.Mint(app, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	ended := make(chan error)
	go func() {
		_, err := conn.Exec(context.Background(), "select pg_sleep(60)")
		ended <- err
	}()
	su, err := shared.Postgres.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer su.Close(context.Background())
	for sleeping := false; !sleeping; {
		const query = "select count(*) = 1 from pg_stat_activity where usename = 'cancel' and query like '%pg_sleep%' and state = 'active'"
		if err := su.QueryRow(t.Context(), query).Scan(&sleeping); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := pgError(t, <-ended); got.Code != "57014" {
		t.Errorf("got %s; want 57014, query_canceled", got.Code)
	}
}

func TestKilledConnectionsAreGoneAndNewOnesAreFine(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	token := s.Entra.Mint(app, nil)
	var all []*pgx.Conn
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			conn, err := login(t.Context(), s.Postgres, "app", token)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, conn)
		}()
	}
	wg.Wait()
	if got := s.Postgres.Connections(); got != 10 {
		t.Errorf("Connections() = %d; want 10", got)
	}
	if got := s.Postgres.KillConnections(); got != 10 {
		t.Errorf("KillConnections() = %d; want 10", got)
	}
	for _, conn := range all {
		if _, err := conn.Exec(t.Context(), "select 1"); err == nil {
			t.Error("a killed connection answers")
		}
	}
	currentUser(t, s.Postgres, "app", token)
}
