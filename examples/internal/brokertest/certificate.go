package brokertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"sync/atomic"
	"time"
)

// An Authority issues certificates. Its own key is in no file.
type Authority struct {
	CAFile string // PEM of its certificate

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	dir         *directory
	issued      atomic.Int64
}

// A Pair is the PEM files of a certificate and of its key, the key readable by its owner
// alone.
type Pair struct{ CertFile, KeyFile string }

// NewAuthority makes an authority. The caller closes it.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate("brokertest CA")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	a := &Authority{key: key}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if a.dir, err = newDirectory(); err != nil {
		return nil, err
	}
	if a.CAFile, err = a.dir.write("ca.pem", encode("CERTIFICATE", der)); err != nil {
		a.dir.close()
		return nil, err
	}
	return a, nil
}

// Close removes all files.
func (a *Authority) Close() error { return a.dir.close() }

// Pool holds the authority's certificate alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Server issues a certificate for localhost and 127.0.0.1, or for other names.
func (a *Authority) Server(names ...string) (Pair, error) {
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1"}
	}
	return a.Issue("brokertest server", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, name := range names {
			if ip := net.ParseIP(name); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			} else {
				c.DNSNames = append(c.DNSNames, name)
			}
		}
	})
}

// Client issues a client certificate whose common name is name.
func (a *Authority) Client(name string) (Pair, error) {
	return a.Issue(name, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
}

// Issue issues a certificate of which change says what is unusual: expired, without
// names, for other uses. It is valid for 90 days and has no names if change does nothing.
func (a *Authority) Issue(name string, change func(*x509.Certificate)) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	template := newTemplate(name)
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Pair{}, err
	}
	return a.save(der, key)
}

// Load reads a pair for the server of a test that is written in Go.
func (p Pair) Load() (tls.Certificate, error) { return tls.LoadX509KeyPair(p.CertFile, p.KeyFile) }

func (a *Authority) save(der []byte, key crypto.PrivateKey) (pair Pair, err error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	n := a.issued.Add(1)
	if pair.CertFile, err = a.dir.write(fmt.Sprintf("cert%d.pem", n), encode("CERTIFICATE", der)); err != nil {
		return Pair{}, err
	}
	pair.KeyFile, err = a.dir.write(fmt.Sprintf("key%d.pem", n), encode("PRIVATE KEY", pkcs8))
	return pair, err
}

func newTemplate(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // crypto/rand does not fail
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),   // a container's clock may lag
		NotAfter:     now.AddDate(0, 0, 90), // more than clients warn of
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
