package passfile

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/transcript"
)

// A keeper is a Passfile at work in a bubble of virtual time.
type keeper struct {
	t    *testing.T
	cred *azurepgtest.Credential
	path string
	log  transcript.Transcript
	file *Passfile
}

// keep writes and keeps a passfile until the test ends.
func keep(t *testing.T, lifetime time.Duration) *keeper {
	t.Helper()
	k := &keeper{t: t, cred: azurepgtest.NewCredential("alice@contoso.com"), path: filepath.Join(t.TempDir(), "pgpass")}
	k.cred.SetLifetime(lifetime)
	cfg, err := azurepg.ParseDSN("host=mydb.postgres.database.azure.com dbname=shop")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credential = k.cred
	if k.file, err = New(k.path, []*azurepg.Config{cfg}, slog.New(slog.NewTextHandler(&k.log, nil))); err != nil {
		t.Fatal(err)
	}
	if err := k.file.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	kept := make(chan struct{})
	go func() { defer close(kept); k.file.Keep(ctx) }()
	t.Cleanup(func() { stop(); <-kept })
	return k
}

// token returns the token in the file, and how long it is still good.
func (k *keeper) token() (string, time.Duration) {
	k.t.Helper()
	synctest.Wait()
	content, err := os.ReadFile(k.path)
	if err != nil {
		k.t.Fatal(err)
	}
	const before = marker + "\nmydb.postgres.database.azure.com:5432:shop:alice@contoso.com:"
	token, ok := strings.CutPrefix(strings.TrimSuffix(string(content), "\n"), before)
	if !ok {
		k.t.Fatalf("the file is %q", content)
	}
	return token, untilEnd(k.t, token)
}

// untilEnd is how long a token is still good.
func untilEnd(t *testing.T, token string) time.Duration {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	var claims struct{ Exp int64 }
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return time.Until(time.Unix(claims.Exp, 0))
}

func TestTokenIsRenewedLongBeforeItsEnd(t *testing.T) {
	for _, test := range []struct{ lifetime, atLeast time.Duration }{
		{time.Hour, 4*time.Minute - time.Second},
		{24 * time.Hour, 4*time.Minute - time.Second},
		{8 * time.Second, 2 * time.Second},
		{2 * time.Second, 250 * time.Millisecond},
	} {
		t.Run(test.lifetime.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := keep(t, test.lifetime)
				const lives, looks = 5, 1000
				for range looks {
					time.Sleep(lives * test.lifetime / looks)
					if _, left := k.token(); left < test.atLeast {
						t.Fatalf("the token in the file ends in %v; want %v at least", left, test.atLeast)
					}
				}
				if n := k.cred.TokenRequests(); n > 3*lives {
					t.Errorf("%d token requests in %d lives", n, lives)
				}
				if n, lines := k.cred.TokenRequests(), strings.Count(k.log.String(), "\n"); lines < n-1 || lines > n {
					t.Errorf("%d lines for %d tokens:\n%s", lines, n, &k.log)
				}
				for _, token := range k.cred.Tokens() {
					if strings.Contains(k.log.String(), token[:40]) {
						t.Error("a token is in the log")
					}
				}
			})
		})
	}
}

func TestOutageLeavesTheOldTokenInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, time.Hour)
		old, _ := k.token()
		k.cred.Fault(azurepgtest.Status(503, 0))
		for range 120 { // to an hour after its end
			time.Sleep(time.Minute)
			if now, _ := k.token(); now != old {
				t.Fatal("the file has changed")
			}
		}
		if !strings.Contains(k.log.String(), "level=WARN") || !strings.Contains(k.log.String(), "level=ERROR") {
			t.Errorf("the log tells nothing of it:\n%s", &k.log)
		}
		if n := k.cred.TokenRequests(); n > 150 {
			t.Errorf("%d token requests in the outage", n)
		}
		k.cred.ClearFaults()
		time.Sleep(longestPause + time.Second)
		if now, left := k.token(); now == old || left < 59*time.Minute {
			t.Errorf("half a minute after the outage the token in the file ends in %v", left)
		}
	})
}

func TestFileThatIsGoneOrCannotBeWrittenComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, time.Hour)
		if err := os.Remove(k.path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(longestPause + time.Second)
		k.token()

		dir := filepath.Dir(k.path)
		if err := os.Rename(dir, dir+".gone"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := strings.Count(k.log.String(), "passfile not written"); n < 10 || n > 300 {
			t.Errorf("%d lines tell that it cannot be written in two hours", n)
		}
		if err := os.Rename(dir+".gone", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(longestPause + time.Second)
		if _, left := k.token(); left < 4*time.Minute {
			t.Errorf("the token in the file ends in %v", left)
		}
	})
}

// What takes the passfile's place is another's, and stays.
func TestFileOfAnotherStaysAtTheNextRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, time.Hour)
		const theirs = "h:5432:d:u:HUNTER\n"
		if err := os.WriteFile(k.path, []byte(theirs), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if content, err := os.ReadFile(k.path); err != nil || string(content) != theirs {
			t.Errorf("the file of another is lost: %v", err)
		}
		if said := k.log.String(); !strings.Contains(said, "was not written by azurepg passfile") || strings.Contains(said, "HUNTER") {
			t.Errorf("the log does not tell:\n%s", said)
		}
		if err := os.Remove(k.path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(longestPause + time.Second)
		if _, left := k.token(); left < 4*time.Minute {
			t.Errorf("the token in the file ends in %v", left)
		}
	})
}

// A DSN whose identity is broken does not keep the tokens of another from being renewed.
func TestBrokenIdentityHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var creds []*azurepgtest.Credential
		var configs []*azurepg.Config
		for _, upn := range []string{"alice@contoso.com", "bob@contoso.com"} {
			cfg, err := azurepg.ParseDSN("host=mydb.postgres.database.azure.com")
			if err != nil {
				t.Fatal(err)
			}
			cred := azurepgtest.NewCredential(upn)
			cfg.Credential = cred
			configs, creds = append(configs, cfg), append(creds, cred)
		}
		path := filepath.Join(t.TempDir(), "pgpass")
		p, err := New(path, configs, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		kept := make(chan struct{})
		go func() { defer close(kept); p.Keep(ctx) }()
		defer func() { stop(); <-kept }()

		creds[0].Fault(azurepgtest.Hang)
		defer creds[0].ClearFaults()
		for range 360 {
			time.Sleep(time.Minute)
			synctest.Wait()
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, line, _ := strings.Cut(string(content), ":bob@contoso.com:")
			if left := untilEnd(t, strings.TrimSuffix(line, "\n")); left < 210*time.Second {
				t.Fatalf("bob's token in the file ends in %v", left)
			}
		}
		if n := len(creds[1].Tokens()); n < 6 {
			t.Errorf("%d tokens for bob in six hours", n)
		}
	})
}

// The user is not known before the token says it: what is wrong then is said by Write, and
// an older file stays.
func TestWithoutAUserNothingIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgpass")
	const old = marker + "\nh:5432:*:u:old\n"
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := azurepg.ParseDSN("host=mydb.postgres.database.azure.com")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credential = azurepgtest.NewCredential("") // an application: its token names nobody
	p, err := New(path, []*azurepg.Config{cfg}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "azurepg: user: ") {
		t.Errorf("got %v; want an error about the user", err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != old {
		t.Errorf("the old file became %q, %v", content, err)
	}
}
