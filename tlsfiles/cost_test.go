package tlsfiles_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/azurepg/azurepg/tlsfiles"
)

// settledFiles returns the Options for files that have been there for long.
func settledFiles(t testing.TB, ca *authority) tlsfiles.Options {
	t.Helper()
	dir, pair := t.TempDir(), ca.issue(t)
	putSettled(t, dir, map[string][]byte{"tls.crt": certPEM(pair.cert), "tls.key": pair.keyPEM(t), "ca.crt": certPEM(ca.cert)})
	return tlsfiles.Options{CAFile: filepath.Join(dir, "ca.crt"), CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
}

// Files that do not change are looked at, and not read.
func TestLookAtUnchangedFilesIsAllItCosts(t *testing.T) {
	opts := settledFiles(t, newAuthority(t, "ca"))
	config := mustNew(t, opts).Config("localhost")
	look := testing.AllocsPerRun(100, func() {
		if _, err := os.Stat(opts.CertFile); err != nil {
			t.Fatal(err)
		}
	})
	info := new(tls.CertificateRequestInfo)
	got := testing.AllocsPerRun(100, func() {
		if _, err := config.GetClientCertificate(info); err != nil {
			t.Fatal(err)
		}
	})
	if got != 2*look {
		t.Errorf("the client's pair costs %v allocations; want those of two os.Stat, %v", got, 2*look)
	}
}

// What the files cost in a handshake with client certificates on both sides of
// loopback: "fixed" is a tls.Config that has read them once and for all.
func BenchmarkHandshake(b *testing.B) {
	ca := newAuthority(b, "ca")
	s := serve(b, ca.issue(b), ca)
	opts := settledFiles(b, ca)
	pair, err := tls.LoadX509KeyPair(opts.CertFile, opts.KeyFile)
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for name, config := range map[string]*tls.Config{
		"fixed": {RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "localhost"},
		"files": mustNew(b, opts).Config("localhost"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := s.greet(b.Context(), config); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a look at the files costs by itself.
func BenchmarkLook(b *testing.B) {
	config := mustNew(b, settledFiles(b, newAuthority(b, "ca"))).Config("localhost")
	info := new(tls.CertificateRequestInfo)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := config.GetClientCertificate(info); err != nil {
			b.Fatal(err)
		}
	}
}
