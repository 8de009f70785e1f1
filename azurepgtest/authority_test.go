package azurepgtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

func pool(t *testing.T, pem []byte) *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	return roots
}

// handshake speaks TLS to the server from the first byte, and waits for what it says of
// the client's certificate: nothing, if it waits for the client.
func handshake(p *azurepgtest.Postgres, roots *x509.CertPool, pairs ...tls.Certificate) error {
	conn, err := tls.Dial("tcp", p.Addr(), &tls.Config{RootCAs: roots, Certificates: pairs, NextProtos: []string{"postgresql"}})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	// A startup packet of no protocol, to which the answer is an error.
	if _, err := conn.Write([]byte{0, 0, 0, 9, 0, 9, 0, 0, 0}); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func TestServerShowsTheCertificateThatItIsGiven(t *testing.T) {
	s := azurepgtest.Start(t)
	caFile, err := os.ReadFile(s.Postgres.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	own, other := pool(t, caFile), azurepgtest.NewAuthority(t)
	for _, step := range []struct {
		name       string
		show       tls.Certificate
		own, other bool // whose roots verify it
	}{
		{"another authority's", other.Server(), false, true},
		{"another authority's, for another name", other.Server("db.example.com"), false, false},
		{"its own again", tls.Certificate{}, true, false},
	} {
		s.Postgres.SetCertificate(step.show)
		if err := handshake(s.Postgres, own); (err == nil) != step.own {
			t.Errorf("%s: by its own authority %v; want accepted = %v", step.name, err, step.own)
		}
		if err := handshake(s.Postgres, pool(t, other.PEM())); (err == nil) != step.other {
			t.Errorf("%s: by the other authority %v; want accepted = %v", step.name, err, step.other)
		}
	}
}

func TestServerAsksForClientCertificatesOfAnAuthority(t *testing.T) {
	s := azurepgtest.Start(t)
	caFile, err := os.ReadFile(s.Postgres.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots, authority := pool(t, caFile), azurepgtest.NewAuthority(t)
	issue := func(a *azurepgtest.Authority, life time.Duration) tls.Certificate {
		pair, err := tls.X509KeyPair(a.ClientPEM("app", life))
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	good := issue(authority, time.Hour)
	s.Postgres.SetClientAuthority(authority)
	if err := handshake(s.Postgres, roots, good); err != nil {
		t.Errorf("with a certificate of the authority: %v", err)
	}
	for name, pairs := range map[string][]tls.Certificate{
		"none": nil, "one of another authority": {issue(azurepgtest.NewAuthority(t), time.Hour)}, "one that has ended": {issue(authority, -time.Minute)},
	} {
		if err := handshake(s.Postgres, roots, pairs...); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	s.Postgres.SetClientAuthority(nil)
	if err := errors.Join(handshake(s.Postgres, roots), handshake(s.Postgres, roots, good)); err != nil {
		t.Errorf("when none is asked for: %v", err)
	}
}
