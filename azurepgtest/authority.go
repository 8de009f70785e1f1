package azurepgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

// An Authority is another certificate authority than that of a [Server]: for tests in
// which certificates are replaced, and for client certificates. Its key never leaves
// memory. Its methods are safe for concurrent use, as far as those of its testing.TB are.
type Authority struct {
	tb testing.TB
	ca *certAuthority
}

// NewAuthority makes an Authority, and ends the test if that is not possible, as its
// methods do.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	ca, err := newCertAuthority()
	if err != nil {
		tb.Fatalf("azurepgtest: %v", err)
	}
	return &Authority{tb, ca}
}

// PEM returns the certificate of the authority, to write into a file of sslrootcert.
func (a *Authority) PEM() []byte { return a.ca.pem() }

// Server issues a server's certificate, valid for a year, for these names, host names
// and IP addresses; without any for localhost, 127.0.0.1 and ::1. It is for
// [Postgres.SetCertificate].
func (a *Authority) Server(names ...string) tls.Certificate {
	a.tb.Helper()
	if names == nil {
		names = []string{"localhost", "127.0.0.1", "::1"}
	}
	cert, err := a.ca.issue(names...)
	if err != nil {
		a.tb.Fatalf("azurepgtest: %v", err)
	}
	return cert
}

// ClientPEM issues a client's certificate with that name as its common name, valid for
// life from now, to write into the files of sslcert and sslkey. With a life below zero it
// has ended. The private key is a secret.
func (a *Authority) ClientPEM(name string, life time.Duration) (cert, key []byte) {
	a.tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatalf("azurepgtest: %v", err)
	}
	template := certificateTemplate(name)
	template.NotAfter = time.Now().Add(life)
	template.NotBefore = template.NotAfter.AddDate(-1, 0, 0)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	certificate, err := signCertificate(template, a.ca.certificate, private.Public(), a.ca.key)
	if err != nil {
		a.tb.Fatalf("azurepgtest: %v", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.tb.Fatalf("azurepgtest: %v", err)
	}
	return certificatePEM(certificate), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// SetCertificate sets the certificate that new connections are shown, such as one of
// [Authority.Server]. The zero tls.Certificate is the Server's own again.
func (p *Postgres) SetCertificate(cert tls.Certificate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tls = p.tls.Clone() // the present one may be in use
	if cert.Certificate == nil {
		cert = p.ownCertificate
	}
	p.tls.Certificates = []tls.Certificate{cert}
}

// SetClientAuthority says whose client certificates new connections must show; those
// without one are cut in the handshake. Nil, the default, asks for none. Which role it is
// remains the token's to say.
func (p *Postgres) SetClientAuthority(a *Authority) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tls = p.tls.Clone() // the present one may be in use
	p.tls.ClientAuth, p.tls.ClientCAs = tls.NoClientCert, nil
	if a != nil {
		p.tls.ClientAuth, p.tls.ClientCAs = tls.RequireAndVerifyClientCert, a.ca.pool()
	}
}
