package azurepg_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/tracelog"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// A witness keeps all that was printed and all that errors hold while a test ran,
// to search it afterwards.
type witness struct {
	mu    sync.Mutex // guards texts
	texts []printed

	logger *slog.Logger // of all levels
}

type printed struct{ what, text string }

// newWitness listens to everything in the process that can print: the Logger it
// offers, the default ones, and azidentity's log.
func newWitness(t *testing.T) *witness {
	w := new(witness)
	w.logger = slog.New(slog.NewJSONHandler(w.writer("our Logger"), &slog.HandlerOptions{Level: slog.LevelDebug}))
	std, flags := log.Writer(), log.Flags()
	def := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(w.writer("slog's default"), &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(w.writer("package log"))
	azlog.SetListener(func(_ azlog.Event, line string) { w.keep("azidentity's log", line) })
	t.Cleanup(func() {
		azlog.SetListener(nil)
		slog.SetDefault(def)
		log.SetOutput(std)
		log.SetFlags(flags)
	})
	return w
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

func (w *witness) writer(what string) writerFunc {
	return func(b []byte) { w.keep(what, string(b)) }
}

func (w *witness) keep(what, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, printed{what, text})
}

// print prints v in every way that Go has.
func (w *witness) print(what string, v any) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		w.keep(what+" with "+verb, fmt.Sprintf(verb, v))
		w.keep("a struct with "+what+" and "+verb, fmt.Sprintf(verb, struct{ V any }{v}))
	}
	if b, err := json.Marshal(v); err == nil {
		w.keep(what+" as JSON", string(b))
	}
	for name, h := range map[string]slog.Handler{"text": slog.NewTextHandler(w.writer(what+" in slog text"), nil), "JSON": slog.NewJSONHandler(w.writer(what+" in slog JSON"), nil)} {
		slog.New(h).Info(name, "v", v)
	}
}

// fail keeps an error: printed, and every text that can be reached from it.
func (w *witness) fail(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("%s: %q is more than a plain line", what, err)
	}
	w.print(what, err)
	reach(reflect.ValueOf(err), map[uintptr]bool{}, func(text string) { w.keep("inside the error of "+what, text) })
}

// reach calls found with every text inside v, exported or not.
func reach(v reflect.Value, seen map[uintptr]bool, found func(string)) {
	switch v.Kind() {
	case reflect.String:
		found(v.String())
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return
		}
		seen[v.Pointer()] = true
		reach(v.Elem(), seen, found)
	case reflect.Interface:
		reach(v.Elem(), seen, found)
	case reflect.Struct:
		for i := range v.NumField() {
			reach(v.Field(i), seen, found)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			reach(it.Key(), seen, found)
			reach(it.Value(), seen, found)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			found(string(v.Bytes()))
			return
		}
		for i := range v.Len() {
			reach(v.Index(i), seen, found)
		}
	}
}

// pieceLength is short enough to find a token that was cut, and long enough to be
// nothing else.
const pieceLength = 24

// find returns where a secret was printed, or a piece of one that is long.
func (w *witness) find(secrets ...string) (found []printed) {
	pieces := make(map[string]bool)
	for _, secret := range secrets {
		if len(secret) < pieceLength {
			pieces[secret] = true
		}
		for i := 0; i+pieceLength <= len(secret); i += pieceLength {
			pieces[secret[i:i+pieceLength]] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.texts {
		for piece := range pieces {
			if strings.Contains(p.text, piece) {
				found = append(found, p)
				break
			}
		}
	}
	return found
}

func (w *witness) wantNone(t *testing.T, secrets ...string) {
	t.Helper()
	if len(secrets) == 0 || len(w.texts) == 0 {
		t.Fatalf("%d secrets, %d texts: there is nothing to search", len(secrets), len(w.texts))
	}
	for _, p := range w.find(secrets...) {
		t.Errorf("a secret is in %s: %.300q", p.what, p.text)
	}
}

// A search that finds nothing must be one that could.
func TestWitnessFindsWhatIsThere(t *testing.T) {
	type inner struct{ secret []byte }
	token := strings.Repeat("HUNTER2-", 40)
	for what, say := range map[string]func(*witness){
		"Logger":             func(w *witness) { w.logger.Debug("x", "v", token) },
		"slog's default":     func(*witness) { slog.Debug(token[30:120]) },
		"package log":        func(*witness) { log.Print(token) },
		"printed":            func(w *witness) { w.print("x", struct{ A *string }{&token}) },
		"deep in the error":  func(w *witness) { w.fail(t, "x", &net.OpError{Err: &net.AddrError{Addr: token}}) },
		"hidden in an error": func(w *witness) { w.fail(t, "x", &hiding{in: map[int]any{1: &inner{[]byte(token)}}}) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWitness(t)
			w.keep("", "nothing")
			say(w)
			if len(w.find(token)) == 0 {
				t.Error("the secret was not found")
			}
		})
	}
}

type hiding struct{ in map[int]any }

func (*hiding) Error() string { return "clean" }

func TestNoSecretOfALeakyDSNComesOutOfAPool(t *testing.T) {
	noAzure(t)
	rows := azurepg.LeakyDSNs(t)
	for i, row := range rows {
		w := newWitness(t)
		what := fmt.Sprintf("DSN %d", i)
		if cfg, err := azurepg.ParseDSN(row.DSN); err == nil {
			w.print(what, cfg)
			w.print(what+" by value", *cfg)
		} else {
			w.fail(t, "ParseDSN of "+what, err)
			if !errors.As(err, new(*azurepg.DSNError)) {
				t.Errorf("%s: got %T; want *DSNError", what, err)
			}
		}
		for _, b := range bases {
			db, err := sql.Open(b.driver, row.DSN)
			if err == nil {
				w.print("*sql.DB of "+what, db)
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				err = db.PingContext(ctx)
				cancel()
				_ = db.Close()
			}
			w.fail(t, b.name+", "+what, err)
		}
		_, err := azurepg.NewPool(t.Context(), row.DSN)
		w.fail(t, "NewPool of "+what, err)
		w.wantNone(t, row.Secrets...)
	}
}

// Every way to fail that azurepgtest can produce, with all logging on.
func TestNoTokenOrSecretIsPrintedWhateverFails(t *testing.T) {
	noAzure(t)
	w := newWitness(t)
	s := azurepgtest.Start(t)
	app, user := s.AddServicePrincipal("app"), s.AddUser("alice@contoso.com")
	s.AddManagedIdentity("id")
	s.Identity.SetLifetime(4 * time.Minute) // MSAL's process-wide cache hands out only what lasts longer
	az := s.AzureCLI(user)
	t.Setenv("PATH", az.Dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	logged := func(cfg *azurepg.Config) {
		cfg.Logger = w.logger
		cfg.ConfigurePgx = func(config *pgx.ConnConfig) error {
			config.Tracer = &tracelog.TraceLog{LogLevel: tracelog.LogLevelTrace, Logger: tracelog.LoggerFunc(
				func(_ context.Context, _ tracelog.LogLevel, msg string, data map[string]any) {
					w.print("tracelog", data)
					w.keep("tracelog", msg)
				})}
			return nil
		}
	}
	caches := 0
	connect := func(dsn string) error {
		caches++
		db := openConnector(t, connector(t, dsn, func(cfg *azurepg.Config) {
			logged(cfg)
			cfg.TokenTimeout, cfg.RefreshAhead = 500*time.Millisecond, time.Duration(caches) // a cache of its own
		}))
		defer func() { w.print("*sql.DB", db) }()
		return db.PingContext(t.Context())
	}
	dsns := map[string]string{"secret": s.DSN("app"), "certificate": dsn(s, "app", "azure_credential", "client_certificate",
		"azure_tenant_id", app.TenantID, "azure_client_id", app.ClientID, "azure_client_certificate_path", app.CertificateFile),
		"identity": s.DSN("id"), "az": s.DSN("alice@contoso.com")}
	for name, dsn := range dsns {
		if err := connect(dsn); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for name, fault := range map[string]azurepgtest.Fault{
		"hang": azurepgtest.Hang, "reset": azurepgtest.Reset, "garbage": azurepgtest.Garbage, "truncated": azurepgtest.TruncatedJSON,
		"echo": azurepgtest.Echo, "429": azurepgtest.Status(429, time.Second), "500": azurepgtest.Status(500, 0), "401": azurepgtest.Status(401, 0),
		"AADSTS": azurepgtest.SecretExpired, "unknown AADSTS": azurepgtest.AADSTS(1),
	} {
		s.Entra.Fault(fault)
		s.Identity.Fault(fault)
		for kind, dsn := range dsns {
			if kind != "az" { // which asks another way, below
				w.fail(t, kind+", "+name, connect(dsn))
			}
		}
		s.Entra.ClearFaults()
		s.Identity.ClearFaults()
	}
	az.SignOut()
	w.fail(t, "az signed out", connect(dsns["az"]))
	az.SignIn()

	for name, mint := range map[string]*azurepgtest.MintOptions{
		"expired": {Expires: time.Now().Add(-time.Minute)}, "not yet": {NotBefore: time.Now().Add(time.Hour)}, "forged": {Forged: true},
		"tenant": {TenantID: "11111111-2222-4333-8444-555555555555"}, "long": {Claims: map[string]any{"groups": strings.Repeat("x", 60000)}},
	} {
		for _, state := range []string{"28P01", "28000", "08P01"} {
			s.Postgres.SetRefusal(state)
			cfg := toPostgres(t, s, s.Entra.Mint(app, mint))
			logged(cfg)
			for door, open := range doors {
				w.fail(t, door+", "+name+", "+state, oneLine(open(t.Context(), cfg)))
			}
		}
	}
	s.Postgres.SetRefusal("")
	s.Entra.RevokeTokens()
	w.fail(t, "role of another", connect(strings.Replace(s.DSN("app"), "//app@", "//id@", 1)))
	w.fail(t, "no such role", connect(strings.Replace(s.DSN("app"), "//app@", "//nobody@", 1)))
	w.fail(t, "no such database", connect(strings.Replace(s.DSN("app"), "/postgres?", "/missing?", 1)))
	s.Postgres.RejectBefore(true)
	w.fail(t, "pg_hba", connect(s.DSN("app")))
	s.Postgres.RejectBefore(false)

	w.wantNone(t, append(s.Entra.Tokens(), app.Secret, privateKey(t, app.CertificateFile))...)
	t.Logf("%d tokens searched in %d texts", len(s.Entra.Tokens()), len(w.texts))
}

// oneLine takes pgxpool's errors for what they are: pgx gives each attempt a line.
func oneLine(err error) error {
	if err != nil && strings.Contains(err.Error(), "\n") {
		return &joined{err}
	}
	return err
}

type joined struct{ error }

func (j *joined) Error() string { return strings.ReplaceAll(j.error.Error(), "\n", " ") }
func (j *joined) Unwrap() error { return j.error }

// toPostgres is a Config for the real server with the credential that gives token.
func toPostgres(t *testing.T, s *azurepgtest.Server, token string) *azurepg.Config {
	t.Helper()
	return &azurepg.Config{
		Hosts: []azurepg.Host{{Name: s.Postgres.Host, Port: uint16(s.Postgres.Port)}}, User: "app", SSLRootCert: s.Postgres.CAFile,
		Credential: giving(token),
	}
}

// privateKey returns the base64 of the key in a PEM file, as one text.
func privateKey(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	_, key, found := bytes.Cut(b, []byte("-----BEGIN PRIVATE KEY-----\n"))
	if !found {
		t.Fatal(errors.New("there is no key"))
	}
	key, _, _ = bytes.Cut(key, []byte("\n"))
	return string(key)
}
