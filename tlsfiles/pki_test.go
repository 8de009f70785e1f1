package tlsfiles_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string, changes ...func(*x509.Certificate)) *authority {
	t.Helper()
	i := sign(t, nil, append([]func(*x509.Certificate){func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = name, true, true, x509.KeyUsageCertSign
		c.NotAfter = time.Now().AddDate(10, 0, 0)
	}}, changes...)...)
	return &authority{i.cert, i.key}
}

// issue makes a certificate for localhost and 127.0.0.1, for servers and clients,
// that is valid for a year, or what changes make of it.
func (a *authority) issue(t testing.TB, changes ...func(*x509.Certificate)) issued {
	t.Helper()
	return sign(t, a, changes...)
}

func sign(t testing.TB, by *authority, changes ...func(*x509.Certificate)) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, change := range changes {
		change(template)
	}
	if by == nil {
		template.ExtKeyUsage, template.DNSNames, template.IPAddresses = nil, nil, nil
		by = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{cert, key}
}

func (i issued) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
}

func certPEM(certs ...*x509.Certificate) []byte {
	var all []byte
	for _, c := range certs {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return all
}

func (i issued) keyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// write writes a file in place, with mode 0600, and returns its path.
func write(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// server is a TLS server whose configuration can change, and which says hello to
// those whom it has accepted.
type server struct {
	addr    string
	config  atomic.Pointer[tls.Config]
	clients atomic.Pointer[x509.Certificate] // the last one that a client showed
}

// serve starts a server that shows cert and, unless clients is nil, insists on client
// certificates of that authority.
func serve(t testing.TB, cert issued, clients *authority) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := &server{addr: listener.Addr().String()}
	config := &tls.Config{Certificates: []tls.Certificate{cert.tls()}}
	if clients != nil {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		config.ClientCAs.AddCert(clients.cert)
	}
	s.config.Store(config)
	go func() {
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			go s.hello(tls.Server(raw, s.config.Load()))
		}
	}()
	return s
}

// show makes the server show another certificate from now on.
func (s *server) show(cert issued) {
	config := s.config.Load().Clone()
	config.Certificates = []tls.Certificate{cert.tls()}
	s.config.Store(config)
}

func (s *server) hello(conn *tls.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if conn.Handshake() != nil {
		return
	}
	if certs := conn.ConnectionState().PeerCertificates; len(certs) > 0 {
		s.clients.Store(certs[0])
	}
	_, _ = conn.Write([]byte("hello"))
	_, _ = io.Copy(io.Discard, conn) // until the client has read it
}

// greet connects, and returns nil if the server has said hello.
func (s *server) greet(ctx context.Context, config *tls.Config) error {
	d := &tls.Dialer{Config: config}
	conn, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	hello := make([]byte, len("hello"))
	if _, err = io.ReadFull(conn, hello); err == nil && string(hello) != "hello" {
		err = errors.New("the server said something else")
	}
	return err
}
