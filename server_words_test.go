package azurepg_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// answeringServer is a server with TLS that asks for the password and answers it with
// what answer returns. It returns a Config for it, with cred.
func answeringServer(t *testing.T, cred *azurepgtest.Credential, answer func(password string) *pgproto3.ErrorResponse) *azurepg.Config {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go refuse(conn, web.TLS, answer)
		}
	}()
	return &azurepg.Config{
		Hosts: []azurepg.Host{{Name: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}}, User: "app", SSLRootCert: ca, Credential: cred,
	}
}

func refuse(conn net.Conn, config *tls.Config, answer func(string) *pgproto3.ErrorResponse) {
	defer func() { _ = conn.Close() }()
	if _, err := pgproto3.NewBackend(conn, conn).ReceiveStartupMessage(); err != nil { // an SSLRequest
		return
	}
	if _, err := conn.Write([]byte("S")); err != nil {
		return
	}
	config = config.Clone()
	config.NextProtos = nil
	secure := tls.Server(conn, config)
	b := pgproto3.NewBackend(secure, secure)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if b.Flush() != nil || b.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	if m, err := b.Receive(); err == nil {
		if password, ok := m.(*pgproto3.PasswordMessage); ok {
			b.Send(answer(password.Password))
			_ = b.Flush()
		}
	}
}

// A server that repeats what it was sent may do so in any field.
func TestTokenThatAServerRepeatsIsShownNowhere(t *testing.T) {
	for _, row := range []struct{ name, state string }{
		{"refused", "28P01"}, {"another error", "53300"}, {"an unknown error", "XX000"}, {"in the code", "28 {token}"}, {"in an unknown code", "{token}"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := answeringServer(t, giving(bearer), func(password string) *pgproto3.ErrorResponse {
				e := &pgproto3.ErrorResponse{UnknownFields: map[byte]string{'Z': password}}
				for v, i := reflect.ValueOf(e).Elem(), 0; i < v.NumField(); i++ {
					if v.Field(i).Kind() == reflect.String {
						v.Field(i).SetString("x " + password)
					}
				}
				e.Code = strings.ReplaceAll(row.state, "{token}", password)
				return e
			})
			for _, door := range loginDoors {
				w := newWitness(t)
				cfg.Logger = w.logger
				w.fail(t, door, oneLine(doors[door](t.Context(), cfg)))
				w.wantNone(t, bearer)
			}
		})
	}
}

// Foreign words can neither leave their line nor turn its direction.
func TestServersWordsStayInTheirPlace(t *testing.T) {
	for _, state := range []string{"28P01", "53300", "XX000"} {
		for name, words := range map[string]string{"lines": "a\nb\rc", "colours": "a\x1b[31mb", "direction": "a\u202eb", "a line of Unicode": "a\u2028b", "too much": strings.Repeat("ü", 60000)} {
			cfg := answeringServer(t, giving(bearer), func(string) *pgproto3.ErrorResponse {
				return &pgproto3.ErrorResponse{Severity: "FATAL", Code: state, Message: words}
			})
			for _, b := range bases {
				err := b.connect(t.Context(), cfg)
				if err == nil {
					t.Fatal("connected")
				}
				if text := err.Error(); strings.ContainsAny(text, "\n\r\x1b\u202e\u2028\ufffd") || len(text) > 2000 || !strings.Contains(text, state) && len(words) < 1000 {
					t.Errorf("%s, %s, %s: %.300q of %d bytes", b.name, state, name, text, len(text))
				}
			}
		}
	}
}

// None of these is a verdict on the token: it is fetched once, for all logins.
func TestErrorsThatAreNotTheTokensLeaveItAlone(t *testing.T) {
	for _, state := range []string{"53300", "08P01", "42501", "3D000", "57P03", "57P01", "22023", "XX000"} {
		t.Run(state, func(t *testing.T) {
			cred := giving(bearer)
			cfg := answeringServer(t, cred, func(string) *pgproto3.ErrorResponse {
				return &pgproto3.ErrorResponse{Severity: "FATAL", Code: state, Message: "no"}
			})
			c, err := azurepg.NewConnector(cfg)
			if err != nil {
				t.Fatal(err)
			}
			pool := openPool(t, c)
			for range 3 {
				for door, connect := range map[string]func(context.Context) error{
					"database/sql": func(ctx context.Context) error { _, err := c.Connect(ctx); return err }, "pgxpool": pool.Ping,
				} {
					if err := connect(t.Context()); err == nil || !strings.Contains(err.Error(), state) {
						t.Fatalf("%s: got %v; want %s", door, err, state)
					}
				}
			}
			if n := cred.TokenRequests(); n != 1 {
				t.Errorf("%d tokens were fetched; want 1", n)
			}
			if got := c.Stats(); got.Refused != 0 || got.Retried != 0 || got.Tokens.Forced != 0 {
				t.Errorf("Stats() = %+v; want no refusal, no retry, no forced fetch", got)
			}
		})
	}
}
