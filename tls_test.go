package azurepg

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFloorIsCheckedBeforeAnythingIsDialled(t *testing.T) {
	verify := func(tls.ConnectionState) error { return nil }
	for _, row := range []struct {
		name string
		tls  *tls.Config
		good bool
	}{
		{"the zero tls.Config", &tls.Config{}, true},
		{"no verification", &tls.Config{InsecureSkipVerify: true}, false},
		{"verification by code", &tls.Config{InsecureSkipVerify: true, VerifyConnection: verify}, true},
		{"VerifyPeerCertificate does not run on resumption", &tls.Config{InsecureSkipVerify: true, VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }}, false},
		{"a low MinVersion is raised", &tls.Config{MinVersion: tls.VersionTLS10}, true},
		{"TLS 1.1 at most", &tls.Config{MaxVersion: tls.VersionTLS11}, false},
		{"TLS 1.2 at most", &tls.Config{MaxVersion: tls.VersionTLS12}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg, err := (&Config{Hosts: []Host{{Name: "a.example.com"}, {Name: "b.example.com"}}, TLSConfig: row.tls}).checked()
			if err != nil {
				t.Fatal(err)
			}
			f, err := newFloor(cfg)
			if row.good != (err == nil) || err != nil && !errors.Is(err, ErrInsecureTLS) {
				t.Fatalf("err = %v; want good = %v", err, row.good)
			}
			if err != nil {
				return
			}
			for i, c := range f.configs {
				if c.MinVersion < tls.VersionTLS12 || c.ServerName != cfg.Hosts[i].Name {
					t.Errorf("host %d: MinVersion %x, ServerName %q", i, c.MinVersion, c.ServerName)
				}
			}
			if row.tls.ServerName != "" || row.tls.MinVersion == tls.VersionTLS12 {
				t.Error("the caller's tls.Config was changed")
			}
		})
	}
}

func TestFloorAtRunTimeTrustsTheConnectionOnly(t *testing.T) {
	leaf := &x509.Certificate{DNSNames: []string{"a.example.com"}}
	full := tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	for _, row := range []struct {
		name   string
		cfg    Config
		change func(*tls.ConnectionState)
		good   bool
	}{
		{"verified", Config{}, func(*tls.ConnectionState) {}, true},
		{"not complete", Config{}, func(s *tls.ConnectionState) { s.HandshakeComplete = false }, false},
		{"TLS 1.1", Config{}, func(s *tls.ConnectionState) { s.Version = tls.VersionTLS11 }, false},
		{"TLS 1.2 where 1.3 is demanded", Config{SSLMinVersion: "TLSv1.3"}, func(s *tls.ConnectionState) { s.Version = tls.VersionTLS12 }, false},
		{"no chain", Config{}, func(s *tls.ConnectionState) { s.VerifiedChains = nil }, false},
		{"another name", Config{Hosts: []Host{{Name: "b.example.com"}}}, func(*tls.ConnectionState) {}, false},
		{"another name, as sent", Config{Hosts: []Host{{Name: "b.example.com"}}}, func(s *tls.ConnectionState) { s.ServerName = "a.example.com" }, false},
		{"the name, as sent", Config{}, func(s *tls.ConnectionState) { s.ServerName = "a.example.com" }, true},
		{"second host", Config{Hosts: []Host{{Name: "b.example.com"}, {Name: "a.example.com"}}}, func(*tls.ConnectionState) {}, true},
		{"no certificate", Config{}, func(s *tls.ConnectionState) { s.PeerCertificates, s.VerifiedChains = nil, nil }, false},
		{"require needs no chain", Config{SSLMode: "require"}, func(s *tls.ConnectionState) { s.VerifiedChains = nil }, true},
		{"require needs TLS 1.2", Config{SSLMode: "require"}, func(s *tls.ConnectionState) { s.Version = tls.VersionTLS11 }, false},
		{"require of an Azure host means verify-full", Config{SSLMode: "require", Hosts: []Host{{Name: "x.postgres.database.azure.com"}}}, func(s *tls.ConnectionState) { s.VerifiedChains = nil }, false},
		{"direct without its protocol", Config{SSLNegotiation: "direct"}, func(*tls.ConnectionState) {}, false},
		{"direct with its protocol", Config{SSLNegotiation: "direct"}, func(s *tls.ConnectionState) { s.NegotiatedProtocol = "postgresql" }, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.cfg.Hosts == nil {
				row.cfg.Hosts = []Host{{Name: "a.example.com"}}
			}
			cfg, err := row.cfg.checked()
			if err != nil {
				t.Fatal(err)
			}
			f, err := newFloor(cfg)
			if err != nil {
				t.Fatal(err)
			}
			state := full
			row.change(&state)
			if err := f.check(state); (err == nil) != row.good {
				t.Errorf("check = %v; want good = %v", err, row.good)
			}
		})
	}
}

// With a file in sslrootcert the certificate itself is verified, whatever a connection
// says has been: a hook may have made it.
func TestFloorVerifiesByTheRootFileWhateverTheConnectionSays(t *testing.T) {
	dir := t.TempDir()
	caFile, _ := writePair(t, dir, "ca")
	block, _ := pem.Decode([]byte(readText(t, caFile)))
	trusted, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	otherFile, _ := writePair(t, dir, "other")
	block, _ = pem.Decode([]byte(readText(t, otherFile)))
	other, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"verify-full", "verify-ca", "require"} {
		cfg, err := (&Config{Hosts: []Host{{Name: "a.example.com"}}, SSLMode: mode, SSLRootCert: caFile}).checked()
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFloor(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			name string
			leaf *x509.Certificate
			good bool
		}{{"trusted", trusted, true}, {"another", other, false}} {
			state := tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13, ServerName: "a.example.com",
				PeerCertificates: []*x509.Certificate{row.leaf}, VerifiedChains: [][]*x509.Certificate{{row.leaf}}}
			if err := f.check(state); (err == nil) != row.good {
				t.Errorf("%s, %s: check = %v; want good = %v", mode, row.name, err, row.good)
			}
		}
	}
}

func TestCertificateFilesThatCannotServe(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("SECRET no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	certA, keyA := writePair(t, dir, "a")
	certB, keyB := writePair(t, dir, "b")
	open := filepath.Join(dir, "open.key")
	if err := os.WriteFile(open, []byte(readText(t, keyA)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := NewConnector(&Config{Hosts: []Host{{Name: "a.example.com"}}, SSLCert: certA, SSLKey: keyA}); err != nil {
		t.Fatalf("a good pair: %v", err)
	}
	for _, row := range []struct {
		name, key, says string
		cfg             Config
	}{
		{"key of another certificate", "sslcert", "its own", Config{SSLCert: certA, SSLKey: keyB}},
		{"certificate of another key", "sslcert", "its own", Config{SSLCert: certB, SSLKey: keyA}},
		{"no root file", "sslrootcert", "does not exist", Config{SSLRootCert: filepath.Join(dir, "SECRET")}},
		{"root file without a certificate", "sslrootcert", "no certificate", Config{SSLRootCert: garbage}},
		{"no certificate file", "sslcert", "does not exist", Config{SSLCert: filepath.Join(dir, "SECRET"), SSLKey: garbage}},
		{"no key file", "sslkey", "does not exist", Config{SSLCert: garbage, SSLKey: filepath.Join(dir, "SECRET")}},
		{"key that others may read", "sslkey", "others may read", Config{SSLCert: certA, SSLKey: open}},
		{"certificate without a key", "sslcert", "its own", Config{SSLCert: garbage, SSLKey: garbage}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.cfg.Hosts = []Host{{Name: "a.example.com"}}
			_, err := NewConnector(&row.cfg)
			var de *DSNError
			if !errors.As(err, &de) || de.Key != row.key || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got %v; want a DSNError of %s that says %q and no value", err, row.key, row.says)
			}
		})
	}
}

// writePair writes a self-signed certificate and its key, and returns the files.
func writePair(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a.example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
