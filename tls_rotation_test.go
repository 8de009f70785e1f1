package azurepg_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// tlsDir holds the files of sslrootcert, sslcert and sslkey, which tests replace.
type tlsDir struct {
	t   *testing.T
	dir string
}

func (d tlsDir) file(name string) string { return filepath.Join(d.dir, name) }

// put replaces a file as careful programs do, by renaming.
func (d tlsDir) put(name string, content ...[]byte) {
	d.t.Helper()
	var all []byte
	for _, c := range content {
		all = append(all, c...)
	}
	next := d.file("next")
	if err := os.WriteFile(next, all, 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(next, d.file(name)); err != nil {
		d.t.Fatal(err)
	}
}

// putPair replaces certificate and key.
func (d tlsDir) putPair(a *azurepgtest.Authority) {
	d.t.Helper()
	cert, key := a.ClientPEM("app", time.Hour)
	d.put("cert", cert)
	d.put("key", key)
}

// longLived are pools made once; each call logs in on a new connection.
func longLived(t *testing.T, dsn string) map[string]func(context.Context) error {
	t.Helper()
	ways := map[string]func(context.Context) error{}
	for _, b := range bases {
		db := b.open(t, dsn)
		db.SetMaxIdleConns(-1)
		ways["sql.Open over "+b.name] = db.PingContext
	}
	pool, err := azurepg.NewPool(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	ways["NewPool"] = func(ctx context.Context) error {
		pool.Reset()
		return pool.Ping(ctx)
	}
	return ways
}

func TestRotatedAuthorityIsTakenUpByTheNextLogin(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	before, after := azurepgtest.NewAuthority(t), azurepgtest.NewAuthority(t)
	for _, mode := range []string{"verify-full", "verify-ca"} {
		files := tlsDir{t, t.TempDir()}
		files.put("ca", before.PEM())
		pools := longLived(t, bySecret(s, app, "sslrootcert", files.file("ca"), "sslmode", mode))
		step := func(what string, accepted bool) {
			t.Helper()
			for way, login := range pools {
				err := login(t.Context())
				if accepted != (err == nil) || !accepted && !strings.Contains(err.Error(), "it is not in the file of sslrootcert") {
					t.Errorf("%s, %s, %s: got %v; want accepted = %v", mode, way, what, err, accepted)
				}
			}
		}
		s.Postgres.SetCertificate(before.Server())
		step("the old authority", true)
		s.Postgres.SetCertificate(after.Server())
		step("a server of the new one, not trusted yet", false)
		files.put("ca", before.PEM(), after.PEM())
		step("a server of the new one, both trusted", true)
		s.Postgres.SetCertificate(before.Server())
		step("a server of the old one, both trusted", true)
		files.put("ca", after.PEM())
		step("a server of the old one, not trusted any more", false)
		s.Postgres.SetCertificate(after.Server())
		step("the new authority", true)
		if err := os.Remove(files.file("ca")); err != nil {
			t.Fatal(err)
		}
		step("the file has vanished", true)
		if mode == "verify-full" {
			s.Postgres.SetCertificate(after.Server("db.example.com"))
			for way, login := range pools {
				if err := login(t.Context()); err == nil || !strings.Contains(err.Error(), "the server's certificate is not for") {
					t.Errorf("%s: got %v; want another name refused", way, err)
				}
			}
		}
	}
}

func TestRotatedClientPairIsTakenUpByTheNextLogin(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	before, after := azurepgtest.NewAuthority(t), azurepgtest.NewAuthority(t)
	files := tlsDir{t, t.TempDir()}
	files.putPair(before)
	pools := longLived(t, bySecret(s, app, "sslcert", files.file("cert"), "sslkey", files.file("key")))
	step := func(what string, accepted bool) {
		t.Helper()
		for way, login := range pools {
			if err := login(t.Context()); accepted != (err == nil) {
				t.Errorf("%s, %s: got %v; want accepted = %v", way, what, err, accepted)
			}
		}
	}
	s.Postgres.SetClientAuthority(before)
	step("the old pair", true)
	s.Postgres.SetClientAuthority(after)
	step("the server wants a new one", false)
	s.Postgres.SetClientAuthority(before)
	cert, key := after.ClientPEM("app", time.Hour)
	files.put("cert", cert)
	step("half done: the certificate is replaced, the key not yet", true)
	s.Postgres.SetClientAuthority(after)
	files.put("key", key)
	step("the new pair", true)
	if err := os.Chmod(files.file("key"), 0o644); err != nil {
		t.Fatal(err)
	}
	step("the new key is open to others", true)
}

// A connection that was opened before the rotation dials the server once more, when a
// query of it is cancelled.
func TestQueryIsCancelledThoughTheAuthorityWasRotatedMeanwhile(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	before, after := azurepgtest.NewAuthority(t), azurepgtest.NewAuthority(t)
	withEachBase(t, s, func(t *testing.T, b base, app *azurepgtest.Principal) {
		files := tlsDir{t, t.TempDir()}
		files.put("ca", before.PEM())
		s.Postgres.SetCertificate(before.Server())
		conn, err := b.open(t, bySecret(s, app, "sslrootcert", files.file("ca"))).Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		s.Postgres.SetCertificate(after.Server())
		files.put("ca", after.PEM())
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := conn.ExecContext(ctx, "select pg_sleep(60)")
			failed <- err
		}()
		waitForQueries(t, s, app.Name, 1)
		cancel()
		waitForQueries(t, s, app.Name, 0) // long before it ends by itself
		if err := <-failed; err == nil {
			t.Error("the query was not cancelled")
		}
	})
}

// waitForQueries waits until so many queries of the role run.
func waitForQueries(t *testing.T, s *azurepgtest.Server, role string, running int) {
	t.Helper()
	super, err := s.Postgres.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = super.Close(context.WithoutCancel(t.Context())) }()
	got := sql.NullInt64{}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if err := super.QueryRow(t.Context(), "select count(*) from pg_stat_activity where usename = $1 and query like '%pg_sleep%' and state = 'active'", role).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got.Int64 == int64(running) {
			return
		}
	}
	t.Fatalf("%d queries run; want %d", got.Int64, running)
}
