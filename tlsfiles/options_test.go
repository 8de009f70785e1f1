package tlsfiles_test

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/tlsfiles"
)

func TestKeyFilesOthersCanReadAreRefused(t *testing.T) {
	ca := newAuthority(t, "ca")
	pair := ca.issue(t)
	dir := t.TempDir()
	opts := tlsfiles.Options{CertFile: write(t, dir, "tls.crt", certPEM(pair.cert)), KeyFile: write(t, dir, "tls.key", pair.keyPEM(t))}
	for _, row := range []struct {
		mode    fs.FileMode
		allowed bool
	}{{0o600, true}, {0o400, true}, {0o640, os.Getuid() == 0}, {0o440, os.Getuid() == 0}, {0o660, false}, {0o644, false}, {0o604, false}, {0o601, false}} {
		if err := os.Chmod(opts.KeyFile, row.mode); err != nil {
			t.Fatal(err)
		}
		_, err := tlsfiles.New(opts)
		var bad *tlsfiles.Error
		if row.allowed != (err == nil) || err != nil && (!errors.As(err, &bad) || bad.Name != "KeyFile") {
			t.Errorf("mode %v: got %v; want allowed = %v", row.mode, err, row.allowed)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	if err := errors.Join(os.Chown(opts.KeyFile, 12345, -1), os.Chmod(opts.KeyFile, 0o640)); err != nil {
		t.Fatal(err)
	}
	if _, err := tlsfiles.New(opts); err == nil {
		t.Error("mode 0640 of another owner than root was accepted")
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	ca := newAuthority(t, "ca")
	a, b := ca.issue(t), ca.issue(t)
	dir := t.TempDir()
	caFile, certA, keyB := write(t, dir, "ca.crt", certPEM(ca.cert)), write(t, dir, "a.crt", certPEM(a.cert)), write(t, dir, "b.key", b.keyPEM(t))
	encrypted := write(t, dir, "e.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	names := tlsfiles.Names{CA: "R_CA", Cert: "R_CERT", Key: "R_KEY", Mode: "R_MODE"}
	for _, row := range []struct {
		name, says string
		opts       tlsfiles.Options
	}{
		{"no such CA file", "R_CA: the file does not exist", tlsfiles.Options{CAFile: filepath.Join(dir, "SECRET")}},
		{"CA file that is none", "R_CA: the file holds no certificate", tlsfiles.Options{CAFile: keyB}},
		{"key of another", "R_CERT: the certificate and the key do not belong together: the key in R_KEY must be its own", tlsfiles.Options{CertFile: certA, KeyFile: keyB}},
		{"encrypted key", "R_KEY: the key is encrypted", tlsfiles.Options{CertFile: certA, KeyFile: encrypted}},
		{"files the wrong way round", "R_CERT: R_CERT and R_KEY must be", tlsfiles.Options{CertFile: keyB, KeyFile: certA}},
		{"certificate without a key", "R_KEY: R_CERT is set without it", tlsfiles.Options{CertFile: certA}},
		{"key without a certificate", "R_CERT: R_KEY is set without it", tlsfiles.Options{KeyFile: keyB}},
		{"unknown mode", "R_MODE: it must be", tlsfiles.Options{Mode: "SECRET"}},
		{"libpq's prefer", "R_MODE: it must be", tlsfiles.Options{Mode: "prefer"}},
		{"none", "R_MODE: with none the server would not be verified", tlsfiles.Options{Mode: "none", CAFile: caFile}},
		{"CERT_NONE", "R_MODE: with none the server would not be verified", tlsfiles.Options{Mode: "CERT_NONE"}},
		{"require without a CA", "R_MODE: with require the server would not be verified", tlsfiles.Options{Mode: "require"}},
		{"verify-ca without a CA", "R_MODE: verify-ca needs a file in R_CA", tlsfiles.Options{Mode: "verify-ca"}},
		{"TLS 1.1", "MinVersion: it must be", tlsfiles.Options{MinVersion: tls.VersionTLS11}},
	} {
		row.opts.Names = names
		_, err := tlsfiles.New(row.opts)
		var bad *tlsfiles.Error
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "tlsfiles: "+row.says) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: got %v; want %q", row.name, err, row.says)
		}
	}
}

func TestModesAreKnownByTheNamesOfLibpqAndPython(t *testing.T) {
	for want, names := range map[tlsfiles.Mode][]string{
		tlsfiles.VerifyFull: {"", "verify-full", "Verify-Full", "required", "optional", "CERT_REQUIRED", "CERT_OPTIONAL", "ssl.CERT_REQUIRED", " required "},
		tlsfiles.VerifyCA:   {"verify-ca"},
		tlsfiles.Require:    {"require"},
		tlsfiles.None:       {"none", "CERT_NONE", "ssl.CERT_NONE"},
		"":                  {"disable", "allow", "prefer", "verify_full", "true", "1", "false", "0", "no", "off", "cert_", "SECRET"},
	} {
		for _, name := range names {
			got, err := tlsfiles.ParseMode(name)
			if got != want || (err != nil) != (want == "") || err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%q: got %q, %v; want %q", name, got, err, want)
			}
		}
	}
}

func TestFromEnvReadsTheVariablesOfThePrefix(t *testing.T) {
	for _, name := range []string{"CA_CERT", "CERT_FILE", "KEY_FILE", "VERIFY_MODE"} {
		t.Setenv("REDIS_TLS_"+name, strings.ToLower(name))
		t.Setenv("RABBITMQ_TLS_"+name, "")
	}
	o := tlsfiles.FromEnv("REDIS_TLS_")
	got := []string{o.CAFile, o.CertFile, o.KeyFile, string(o.Mode), o.Names.CA, o.Names.Cert, o.Names.Key, o.Names.Mode}
	want := []string{"ca_cert", "cert_file", "key_file", "verify_mode", "REDIS_TLS_CA_CERT", "REDIS_TLS_CERT_FILE", "REDIS_TLS_KEY_FILE", "REDIS_TLS_VERIFY_MODE"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
	if o := tlsfiles.FromEnv("RABBITMQ_TLS_"); o.CAFile != "" || o.Mode != "" || o.Names.Cert != "RABBITMQ_TLS_CERT_FILE" {
		t.Errorf("got %+v", o)
	}
}
