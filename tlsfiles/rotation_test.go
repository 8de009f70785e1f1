package tlsfiles_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg/internal/transcript"
	"github.com/azurepg/azurepg/tlsfiles"
)

// logged is a Logger and what it has written.
type logged struct{ transcript.Transcript }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func mustNew(t testing.TB, opts tlsfiles.Options) *tlsfiles.Files {
	t.Helper()
	f, err := tlsfiles.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// One Config, made once, follows an authority that is replaced while both are
// trusted for a time: the order of a real rotation.
func TestRotatedAuthorityIsTakenUpByTheNextConnection(t *testing.T) {
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	s := serve(t, before.issue(t), nil)
	dir, log := t.TempDir(), &logged{}
	ca := write(t, dir, "ca.crt", certPEM(before.cert))
	for _, mode := range []tlsfiles.Mode{tlsfiles.VerifyFull, tlsfiles.VerifyCA} {
		s.show(before.issue(t))
		write(t, dir, "ca.crt", certPEM(before.cert))
		config := mustNew(t, tlsfiles.Options{CAFile: ca, Mode: mode, Logger: log.logger()}).Config("localhost")
		step := func(what string, accepted bool) {
			t.Helper()
			err := s.greet(t.Context(), config)
			if accepted != (err == nil) || !accepted && !strings.Contains(err.Error(), "not in the file of CAFile") {
				t.Errorf("%s, %s: got %v; want accepted = %v", mode, what, err, accepted)
			}
		}
		step("the old one", true)
		s.show(after.issue(t))
		step("a server of the new one, not trusted yet", false)
		write(t, dir, "ca.crt", certPEM(before.cert, after.cert))
		step("a server of the new one, both trusted", true)
		s.show(before.issue(t))
		step("a server of the old one, both trusted", true)
		write(t, dir, "ca.crt", certPEM(after.cert))
		step("a server of the old one, not trusted any more", false)
		s.show(after.issue(t))
		step("the new one", true)
		if n := strings.Count(log.Take(), "changed files are taken up"); n != 2 {
			t.Errorf("%s: %d changes were logged; want 2", mode, n)
		}
	}
}

func TestClientPairIsTakenUpWholeOrNotAtAll(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serve(t, ca.issue(t), ca)
	dir, log := t.TempDir(), &logged{}
	first, second := ca.issue(t), ca.issue(t)
	opts := tlsfiles.Options{CAFile: write(t, dir, "ca.crt", certPEM(ca.cert)), CertFile: write(t, dir, "tls.crt", certPEM(first.cert)),
		KeyFile: write(t, dir, "tls.key", first.keyPEM(t)), Logger: log.logger(),
		Names: tlsfiles.Names{Cert: "REDIS_TLS_CERT_FILE", Key: "REDIS_TLS_KEY_FILE"}}
	config := mustNew(t, opts).Config("127.0.0.1")
	shown := func(what string, want issued) {
		t.Helper()
		if err := s.greet(t.Context(), config); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if !s.clients.Load().Equal(want.cert) {
			t.Errorf("%s: the other certificate was shown", what)
		}
	}
	shown("at first", first)
	log.Take()
	write(t, dir, "tls.crt", certPEM(second.cert))
	for range 3 {
		shown("half done: the certificate is replaced, the key not yet", first)
	}
	line := log.Take()
	if strings.Count(line, "level=WARN") != 1 || !strings.Contains(line, "do not belong together") || !strings.Contains(line, "REDIS_TLS_KEY_FILE") {
		t.Errorf("got %q; want one warning", line)
	}
	write(t, dir, "tls.key", second.keyPEM(t))
	shown("done", second)
	if line := log.Take(); !strings.Contains(line, "changed files are taken up") {
		t.Errorf("got %q", line)
	}
}

// What goes wrong with a file later on is no reason to stop: what it held stays in
// use, with one warning that names the setting and not the file.
func TestFileThatCannotServeLeavesTheLastGoodStateInUse(t *testing.T) {
	ca := newAuthority(t, "ca")
	pair := ca.issue(t)
	whole := certPEM(ca.cert, newAuthority(t, "other").cert)
	for _, row := range []struct {
		name, file, says string
		spoil            func(path string) error
	}{
		{"vanished", "ca.crt", "CAFile: the file does not exist", os.Remove},
		{"emptied", "ca.crt", "CAFile: the file holds no certificate", func(path string) error { return os.Truncate(path, 0) }},
		{"half written", "ca.crt", "CAFile: the file ends in the middle of a certificate", func(path string) error { return os.Truncate(path, int64(len(whole))-100) }},
		{"a directory", "ca.crt", "CAFile: it is no regular file", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }},
		{"key vanished", "tls.key", "KeyFile: the file does not exist", os.Remove},
		{"key half written", "tls.key", "CertFile: CertFile and KeyFile must be", func(path string) error { return os.Truncate(path, 50) }},
		{"key opened to others", "tls.key", "KeyFile: others may read the file", func(path string) error { return os.Chmod(path, 0o644) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, ca.issue(t), ca)
			dir, log := filepath.Join(t.TempDir(), "SECRET"), &logged{}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			content := map[string][]byte{"ca.crt": whole, "tls.crt": certPEM(pair.cert), "tls.key": pair.keyPEM(t)}
			putSettled(t, dir, content)
			config := mustNew(t, tlsfiles.Options{CAFile: filepath.Join(dir, "ca.crt"), CertFile: filepath.Join(dir, "tls.crt"),
				KeyFile: filepath.Join(dir, "tls.key"), Logger: log.logger()}).Config("localhost")
			greet := func(times int) string {
				t.Helper()
				for range times {
					if err := s.greet(t.Context(), config); err != nil {
						t.Fatal(err)
					}
				}
				return log.Take()
			}
			if err := row.spoil(filepath.Join(dir, row.file)); err != nil {
				t.Fatal(err)
			}
			got := greet(3)
			if strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, row.says) || strings.Contains(got, "SECRET") {
				t.Errorf("got %s\nwant one warning that says %q and names no file", got, row.says)
			}
			if err := os.RemoveAll(filepath.Join(dir, row.file)); err != nil {
				t.Fatal(err)
			}
			putSettled(t, dir, content)
			if got := greet(3); strings.Count(got, "changed files are taken up") != 1 || strings.Contains(got, "level=WARN") {
				t.Errorf("mended: got %s", got)
			}
		})
	}
}

// putSettled writes files that have not changed for long, all of one time.
func putSettled(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	ago := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, content := range files {
		if err := os.Chtimes(write(t, dir, name, content), ago, ago); err != nil {
			t.Fatal(err)
		}
	}
}

// Kubernetes keeps the files of a volume in a directory with a time in its name, and
// swaps a symbolic link to it.
func TestSwappedSymbolicLinkIsTakenUp(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serve(t, ca.issue(t), ca)
	volume := t.TempDir()
	put := func(generation string, pair issued) {
		t.Helper()
		dir := filepath.Join(volume, generation)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		// All of one age, as in an image.
		putSettled(t, dir, map[string][]byte{"tls.crt": certPEM(pair.cert), "tls.key": pair.keyPEM(t), "ca.crt": certPEM(ca.cert)})
		next := filepath.Join(volume, "..data_tmp")
		if err := errors.Join(os.Symlink(generation, next), os.Rename(next, filepath.Join(volume, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	pairs := sameSize(t, ca)
	put("..2026_11_24_1", pairs[0])
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(volume, name)); err != nil {
			t.Fatal(err)
		}
	}
	config := mustNew(t, tlsfiles.Options{CAFile: filepath.Join(volume, "ca.crt"), CertFile: filepath.Join(volume, "tls.crt"),
		KeyFile: filepath.Join(volume, "tls.key")}).Config("localhost")
	for generation, want := range pairs {
		if generation > 0 {
			put("..2026_11_24_2", want)
		}
		if err := s.greet(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		if !s.clients.Load().Equal(want.cert) {
			t.Errorf("generation %d: the other certificate was shown", generation)
		}
	}
}

// A file that is written again in place, long after the last time and with the same
// size, has another time and no other sign.
func TestRewriteOfAnOldFileIsSeenByItsTime(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serve(t, ca.issue(t), ca)
	dir := t.TempDir()
	pairs := sameSize(t, ca)
	put := func(pair issued) {
		t.Helper()
		putSettled(t, dir, map[string][]byte{"tls.crt": certPEM(pair.cert), "tls.key": pair.keyPEM(t)})
	}
	put(pairs[0])
	config := mustNew(t, tlsfiles.Options{CAFile: write(t, dir, "ca.crt", certPEM(ca.cert)), CertFile: filepath.Join(dir, "tls.crt"),
		KeyFile: filepath.Join(dir, "tls.key")}).Config("localhost")
	put(pairs[1])
	later := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Chtimes(filepath.Join(dir, name), later, later); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.greet(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if !s.clients.Load().Equal(pairs[1].cert) {
		t.Error("the old certificate was shown")
	}
}

// A file that is written again in place, with the same size and the same time, cannot
// be told from the outside; while its time is near it is read anyway.
func TestRewriteWithinTheSameSecondIsSeen(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serve(t, ca.issue(t), ca)
	dir := t.TempDir()
	pairs := sameSize(t, ca)
	put := func(pair issued, now time.Time) {
		t.Helper()
		for name, content := range map[string][]byte{"tls.crt": certPEM(pair.cert), "tls.key": pair.keyPEM(t)} {
			if err := os.Chtimes(write(t, dir, name, content), now, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(pairs[0], time.Now())
	config := mustNew(t, tlsfiles.Options{CAFile: write(t, dir, "ca.crt", certPEM(ca.cert)), CertFile: filepath.Join(dir, "tls.crt"),
		KeyFile: filepath.Join(dir, "tls.key")}).Config("localhost")
	shown := func(pair issued, now time.Time) {
		t.Helper()
		put(pair, now)
		if err := s.greet(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		if !s.clients.Load().Equal(pair.cert) {
			t.Error("the other certificate was shown")
		}
	}
	for seen := 0; seen < 2; { // on a busy machine the time of the first may not be near any more
		now := time.Now()
		shown(pairs[seen], now)
		if time.Since(now) < time.Second {
			shown(pairs[1-seen], now)
			seen++
		}
	}
}

// sameSize returns two pairs whose files have the same size.
func sameSize(t *testing.T, ca *authority) [2]issued {
	t.Helper()
	first := ca.issue(t)
	for {
		if second := ca.issue(t); len(second.cert.Raw) == len(first.cert.Raw) {
			return [2]issued{first, second}
		}
	}
}

// Whoever connects while the files change has one state or the other, and never a
// pair that does not belong together.
func TestConnectionsDuringRotationsAllSucceed(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serve(t, ca.issue(t), ca)
	dir := t.TempDir()
	pairs := []issued{ca.issue(t), ca.issue(t), ca.issue(t)}
	put := func(pair issued) {
		for name, content := range map[string][]byte{"tls.crt": certPEM(pair.cert), "tls.key": pair.keyPEM(t), "ca.crt": certPEM(ca.cert)} {
			next := write(t, dir, "next", content)
			if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(pairs[0])
	config := mustNew(t, tlsfiles.Options{CAFile: filepath.Join(dir, "ca.crt"), CertFile: filepath.Join(dir, "tls.crt"),
		KeyFile: filepath.Join(dir, "tls.key")}).Config("localhost")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if err := s.greet(t.Context(), config); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for i := 0; ; i++ {
		select {
		case <-done:
			if i < 3 {
				t.Errorf("only %d rotations", i)
			}
			put(pairs[0])
			if err := s.greet(t.Context(), config); err != nil || !s.clients.Load().Equal(pairs[0].cert) {
				t.Errorf("the last rotation was not taken up: %v", err)
			}
			return
		default:
			put(pairs[i%len(pairs)])
		}
	}
}
