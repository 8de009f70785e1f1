package azurepg_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg"
)

// asksAndLetsIn asks for the password, lets everybody in, and answers the first query
// with what answer returns.
func asksAndLetsIn(answer func(password string) []pgproto3.BackendMessage) func(int64, net.Conn) {
	return func(_ int64, conn net.Conn) {
		send(conn, &pgproto3.AuthenticationCleartextPassword{})
		password := strings.Trim(string(readMessage(conn)[5:]), "\x00")
		send(conn, &pgproto3.AuthenticationOk{}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
		readMessage(conn)
		send(conn, answer(password)...)
	}
}

// The session in which target_session_attrs is looked at is still a part of Connect.
func TestTokenRepeatedWhileAHostIsChosenIsShownNowhere(t *testing.T) {
	for _, attrs := range []string{"read-write", "standby", "prefer-standby"} {
		for _, door := range loginDoors {
			t.Run(attrs+", "+door, func(t *testing.T) {
				host := scripted(t, asksAndLetsIn(func(password string) []pgproto3.BackendMessage {
					return []pgproto3.BackendMessage{
						&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "XX000", Message: "who sent " + password, Detail: password},
						&pgproto3.ReadyForQuery{TxStatus: 'I'},
					}
				}))
				w := newWitness(t)
				cfg := &azurepg.Config{
					Hosts: []azurepg.Host{host}, User: "app", SSLMode: "require", TargetSessionAttrs: attrs,
					Credential: giving(bearer), Logger: w.logger,
				}
				w.fail(t, door, oneLine(doors[door](t.Context(), cfg)))
				w.wantNone(t, bearer)
			})
		}
	}
}

// PgBouncer may log in to its server only when the first statement comes. (lib/pq makes
// driver.ErrBadConn of a FATAL error there, and does not say what it was.)
func TestRefusalWhileAHostIsChosenIsARefusal(t *testing.T) {
	for _, code := range []string{"28000", "28P01"} {
		for _, door := range []string{"database/sql", "pgxpool"} {
			t.Run(code+", "+door, func(t *testing.T) {
				first := scripted(t, asksAndLetsIn(func(string) []pgproto3.BackendMessage { return []pgproto3.BackendMessage{fatal(code)} }))
				asked := make(chan struct{}, 10)
				second := scripted(t, func(int64, net.Conn) { asked <- struct{}{} })
				cfg := &azurepg.Config{
					Hosts: []azurepg.Host{first, second}, User: "app", SSLMode: "require", TargetSessionAttrs: "read-write", Credential: giving(bearer),
				}
				err := doors[door](t.Context(), cfg)
				var refused *azurepg.AuthError
				if door != "pgxpool" && (!errors.As(err, &refused) || strings.Contains(err.Error(), "was not sent")) {
					t.Errorf("got %v; want an AuthError of a token that was sent", err)
				}
				if err == nil || len(asked) > 0 {
					t.Errorf("got %v, and the second host was asked %d times", err, len(asked))
				}
			})
		}
	}
}

// pgx takes the answer for granted, in a goroutine of the pool's where nobody can recover.
func TestServerWithoutAnAnswerForTargetSessionAttrsIsAnError(t *testing.T) {
	for name, answer := range map[string][]pgproto3.BackendMessage{
		"nothing":   nil,
		"no row":    {&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("x"), DataTypeOID: 25}}}, &pgproto3.CommandComplete{CommandTag: []byte("SHOW")}},
		"no column": {&pgproto3.RowDescription{}, &pgproto3.DataRow{}, &pgproto3.CommandComplete{CommandTag: []byte("SHOW")}},
	} {
		for _, attrs := range []string{"read-write", "read-only", "primary", "standby", "prefer-standby"} {
			for _, door := range loginDoors {
				t.Run(name+", "+attrs+", "+door, func(t *testing.T) {
					host := scripted(t, asksAndLetsIn(func(string) []pgproto3.BackendMessage {
						return append(answer, &pgproto3.ReadyForQuery{TxStatus: 'I'})
					}))
					cfg := &azurepg.Config{
						Hosts: []azurepg.Host{host}, User: "app", SSLMode: "require", TargetSessionAttrs: attrs, Credential: giving(bearer),
					}
					if err := doors[door](t.Context(), cfg); err == nil && attrs != "prefer-standby" { // at which any other will do
						t.Error("connected")
					}
				})
			}
		}
	}
}

func TestNoticeThatRepeatsTheTokenReachesTheHookWithoutIt(t *testing.T) {
	for _, door := range []string{"database/sql", "pgxpool"} {
		t.Run(door, func(t *testing.T) {
			notice := func(password string) *pgproto3.NoticeResponse {
				return &pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: "you sent " + password, Hint: password}
			}
			host := scripted(t, func(_ int64, conn net.Conn) {
				send(conn, &pgproto3.AuthenticationCleartextPassword{})
				password := strings.Trim(string(readMessage(conn)[5:]), "\x00")
				send(conn, notice(password), &pgproto3.AuthenticationOk{}, notice(password), &pgproto3.ReadyForQuery{TxStatus: 'I'})
				readMessage(conn) // show transaction_read_only
				send(conn, notice(password), fatal("XX000"))
			})
			w, notices := newWitness(t), 0
			cfg := &azurepg.Config{
				Hosts: []azurepg.Host{host}, User: "app", SSLMode: "require", TargetSessionAttrs: "read-write", Credential: giving(bearer),
				ConfigurePgx: func(cc *pgx.ConnConfig) error {
					cc.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
						notices++
						w.print("a notice", *n)
					}
					return nil
				},
			}
			if err := doors[door](t.Context(), cfg); err == nil {
				t.Fatal("connected")
			}
			if notices != 3 {
				t.Errorf("%d notices; want 3", notices)
			}
			w.wantNone(t, bearer)
		})
	}
}

func TestHookForNoticesStaysWhenBeforeConnectIsCalledAgain(t *testing.T) {
	c, err := azurepg.NewConnector(&azurepg.Config{Hosts: []azurepg.Host{{Name: "db.invalid"}}, User: "app", Credential: giving(bearer)})
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range []bool{true, false} { // whether it is set before the first call
		cc, err := pgx.ParseConfig("host=localhost")
		if err != nil {
			t.Fatal(err)
		}
		notices := 0
		for i := range 3 {
			if first == (i == 0) {
				cc.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { notices++ }
			}
			if err := c.BeforeConnect(t.Context(), cc); err != nil {
				t.Fatal(err)
			}
		}
		if cc.OnNotice == nil {
			t.Fatalf("set first: %v: the hook is gone", first)
		}
		cc.OnNotice(nil, &pgconn.Notice{Message: "hello"})
		if notices != 1 {
			t.Errorf("set first: %v: it was called %d times; want once", first, notices)
		}
	}
}
