package azurepg_test

import (
	"context"
	"errors"
	"expvar"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// logLines keeps what is logged, as rows of the package documentation's table.
type logLines struct {
	mu      sync.Mutex // guards what follows
	rows    []string
	text    strings.Builder
	records []slog.Record
}

func (*logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *logLines) WithGroup(string) slog.Handler          { return l }

func (l *logLines) Handle(ctx context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	r.Attrs(func(a slog.Attr) bool { names = append(names, a.Key); return true })
	if names == nil {
		names = []string{"none"}
	}
	l.rows = append(l.rows, r.Level.String()+"  "+r.Message+"  "+strings.Join(names, " "))
	l.records = append(l.records, r.Clone())
	return slog.NewTextHandler(&l.text, nil).Handle(ctx, r)
}

// attr is that attribute of the last line with that message.
func (l *logLines) attr(t *testing.T, message, name string) slog.Value {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var v *slog.Value
	for _, r := range l.records {
		if r.Message == "azurepg: "+message {
			r.Attrs(func(a slog.Attr) bool {
				if a.Key == name {
					v = &a.Value
				}
				return true
			})
		}
	}
	if v == nil {
		t.Fatalf("no line %q with %s among\n%s", message, name, &l.text)
	}
	return *v
}

// documentedLines are the rows of the table under Logging.
func documentedLines(t *testing.T) []string {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range regexp.MustCompile(`(?m)^//\t(DEBUG|INFO|WARN|ERROR) +(azurepg: .*?)  +(.+)$`).FindAllStringSubmatch(string(doc), -1) {
		rows = append(rows, m[1]+"  "+m[2]+"  "+m[3])
	}
	slices.Sort(rows)
	return rows
}

// Every line is provoked, with the token cache in virtual time and the connector before
// a real server. What is documented and what is written are the same.
func TestEveryLogLineIsDocumentedAndHoldsNoSecret(t *testing.T) {
	var all []string
	for _, provoke := range []func(*testing.T, *logLines) (secrets []string){provokeCacheLines, provokeLoginLines, provokeTLSLines} {
		l := &logLines{}
		secrets := provoke(t, l)
		if len(secrets) == 0 {
			t.Error("no secret was at hand")
		}
		for _, secret := range secrets {
			if strings.Contains(l.text.String(), secret) {
				t.Errorf("the log holds a secret:\n%s", &l.text)
			}
		}
		all = append(all, l.rows...)
	}
	slices.Sort(all)
	got, want := slices.Compact(all), documentedLines(t)
	if !slices.Equal(got, want) {
		t.Errorf("these lines were written:\n%s\nthese are documented:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func provokeCacheLines(t *testing.T, l *logLines) (secrets []string) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		tokens := azurepg.NewTokenCache(cred, &azurepg.TokenCacheOptions{Logger: slog.New(l)})
		fetch := func(after time.Duration) azcore.AccessToken {
			time.Sleep(after)
			token, _ := tokens.Token(t.Context())
			synctest.Wait()
			return token
		}
		cred.Fault(azurepgtest.Delay(2 * time.Second))
		fetch(0) // fetched
		if took := l.attr(t, "token fetched", "took").Duration(); took != 2*time.Second {
			t.Errorf("a fetch of 2 s took %v", took)
		}
		cred.ClearFaults()
		fetch(55 * time.Minute) // refreshed, behind it
		same := fetch(0)
		cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) { return same, nil })
		fetch(55 * time.Minute) // no newer one
		cred.SetAnswer(nil)
		cred.Fault(azurepgtest.Status(503, 0))
		fetch(time.Minute) // refresh failed
		if left := l.attr(t, "token refresh failed, the old token stays in use", "left").Duration(); left != 4*time.Minute {
			t.Errorf("the token lasts %v; want 4m, the rest of its hour", left)
		}
		fetch(time.Hour) // no token
		if attempt := l.attr(t, "no token", "attempt").Int64(); attempt != 3 {
			t.Errorf("the third fetch since there was a new token is attempt %d", attempt)
		}
		cred.ClearFaults()
		last := fetch(time.Minute)
		if got := l.attr(t, "token fetched", "expires").Time(); !got.Equal(last.ExpiresOn) {
			t.Errorf("expires is %v; want %v", got, last.ExpiresOn)
		}
		secrets = cred.Tokens()
	})
	return secrets
}

func provokeLoginLines(t *testing.T, l *logLines) (secrets []string) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app, other := s.AddServicePrincipal("app"), s.AddServicePrincipal("other")
	logged := func(user string) *azurepg.Connector {
		return connector(t, bySecret(s, app), func(cfg *azurepg.Config) { cfg.User, cfg.Logger = user, slog.New(l) })
	}
	right, wrong := logged(app.Name), logged(other.Name)
	connect := func(c *azurepg.Connector) error {
		conn, err := c.Connect(t.Context())
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	if err := connect(right); err != nil {
		t.Fatal(err)
	}
	s.Entra.RevokeTokens()
	if err := connect(right); err != nil { // refused, again with a new token
		t.Fatal(err)
	}
	if attempt := l.attr(t, "logging in again with a new token", "attempt").Int64(); attempt != 2 {
		t.Errorf("the second login is attempt %d", attempt)
	}
	var refused *azurepg.AuthError
	if err := connect(wrong); !errors.As(err, &refused) { // refused, and not again
		t.Errorf("got %v; want a refusal", err)
	}
	for name, want := range map[string]string{"user": other.Name, "credential": "client_secret", "sqlstate": refused.SQLState, "advice": refused.Advice} {
		if got := l.attr(t, "login refused", name).String(); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
	connector(t, bySecret(s, app), func(cfg *azurepg.Config) { cfg.SSLMode, cfg.SSLRootCert, cfg.Logger = "require", "", slog.New(l) })
	return append(s.Entra.Tokens(), app.Secret, other.Secret)
}

// provokeTLSLines keeps a pair of client certificate and key that ends in five days,
// then one that has ended, and spoils the file of authorities.
func provokeTLSLines(t *testing.T, l *logLines) (secrets []string) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	dir := t.TempDir()
	caFile, certFile, keyFile := filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	put := func(file string, content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority := azurepgtest.NewAuthority(t)
	pair := func(life time.Duration) (key string) {
		cert, private := authority.ClientPEM("app", life)
		put(certFile, cert)
		put(keyFile, private)
		return string(private)
	}
	ca, err := os.ReadFile(s.Postgres.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	put(caFile, ca)
	s.Postgres.SetClientAuthority(authority)
	first := pair(5 * 24 * time.Hour)
	connect := func(c *azurepg.Connector) {
		t.Helper()
		conn, err := c.Connect(t.Context())
		if err == nil {
			err = conn.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}
	logged := func(change func(*azurepg.Config)) *azurepg.Connector {
		return connector(t, bySecret(s, app), func(cfg *azurepg.Config) {
			cfg.SSLRootCert, cfg.SSLCert, cfg.SSLKey, cfg.Logger = caFile, certFile, keyFile, slog.New(l)
			change(cfg)
		})
	}
	full := logged(func(*azurepg.Config) {})
	unverified := logged(func(cfg *azurepg.Config) { cfg.SSLMode, cfg.SSLRootCert = "require", "" })
	for range 2 {
		connect(full)
		connect(unverified)
	}
	put(caFile, nil)
	connect(full)
	put(caFile, ca)
	connect(full)
	second := pair(-time.Minute)
	logged(func(*azurepg.Config) {})
	return append(s.Entra.Tokens(), app.Secret, first, second)
}

// Only log.go writes lines, here and in tlsfiles, so that the table can be trusted, and
// nobody but the Logger that was given gets them.
func TestOnlyOneFileWritesLogLines(t *testing.T) {
	written := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("tlsfiles/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, more...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if writes := []string{"LogAttrs", "Log", "Info", "Warn", "Debug", "Error", "Default", "Printf", "Println"}; slices.Contains(writes, n.Sel.Name) {
					if x, ok := n.X.(*ast.Ident); ok && (x.Name == "slog" || x.Name == "log" || n.Sel.Name == "LogAttrs") && filepath.Base(name) != "log.go" {
						t.Errorf("%s calls %s.%s", name, x.Name, n.Sel.Name)
					}
				}
			case *ast.BasicLit:
				if text := strings.Trim(n.Value, `"`); filepath.Base(name) == "log.go" && strings.HasPrefix(text, "azurepg: ") {
					written[text] = true
				}
			}
			return true
		})
	}
	documented := map[string]bool{}
	for _, row := range documentedLines(t) {
		documented[strings.Split(row, "  ")[1]] = true
	}
	if !maps.Equal(written, documented) {
		t.Errorf("log.go writes %q; documented are %q", slices.Sorted(maps.Keys(written)), slices.Sorted(maps.Keys(documented)))
	}
}

// Monitors know the counters by these names.
func TestStatsHaveStableNamesInExpvar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		c, err := azurepg.NewConnector(&azurepg.Config{Hosts: []azurepg.Host{{Name: "db.example.com"}}, User: "app", Credential: cred})
		if err != nil {
			t.Fatal(err)
		}
		published := expvar.Func(func() any { return c.Stats() })
		const none = `{"Opened":0,"Failed":0,"Refused":0,"Retried":0,"Tokens":{"Fetches":0,"Refreshes":0,"Failures":0,"Forced":0}}`
		if got := published.String(); got != none {
			t.Errorf("got  %s\nwant %s", got, none)
		}
		if _, err := c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		const one = `{"Opened":0,"Failed":0,"Refused":0,"Retried":0,"Tokens":{"Fetches":1,"Refreshes":0,"Failures":0,"Forced":0,"ExpiresOn":"2000-01-01T01:00:00Z"}}`
		if got := strings.ReplaceAll(published.String(), c.Stats().Tokens.ExpiresOn.Format(time.RFC3339), "2000-01-01T01:00:00Z"); got != one {
			t.Errorf("got  %s\nwant %s", got, one)
		}
	})
}
