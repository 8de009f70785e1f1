package azurepg

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/tlsfiles"
)

// Every row of the table is met by an error of crypto/tls here, and names the
// certificate, name or authority that is at fault.
func TestEveryTLSFaultIsExplained(t *testing.T) {
	ca := pkix.Name{CommonName: "Evil\nCA", Organization: []string{"Evil Corp"}}
	leaf := &x509.Certificate{DNSNames: []string{"db.example.com", "*.example.com"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, Issuer: ca,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0)}
	future := &x509.Certificate{Issuer: ca, NotBefore: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	remote := func(alert string) error { return &net.OpError{Op: "remote error", Err: errors.New("tls: " + alert)} }
	middle := &x509.Certificate{Subject: pkix.Name{CommonName: "middle"}, Issuer: ca}
	var (
		authority  = x509.UnknownAuthorityError{Cert: leaf}
		unverified = &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{leaf, middle}, Err: x509.UnknownAuthorityError{Cert: middle}}
		otherName  = x509.HostnameError{Certificate: leaf, Host: "x.example.org"}
		record     = tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}
		names      = `"db.example.com, *.example.com, 192.0.2.1"`
		issuer     = `"CN=Evil\nCA,O=Evil Corp"`
	)
	met := map[*tlsFault]bool{}
	for _, row := range []struct {
		name  string
		floor *floor
		err   error
		says  []string
	}{
		{"Azure, authority", &floor{azure: true}, authority, []string{names, issuer, "leave sslrootcert out", "somebody is in between"}},
		{"roots, authority", &floor{roots: new(tlsfiles.Files)}, authority, []string{names, issuer, "not in the file of sslrootcert"}},
		{"authority", &floor{}, authority, []string{names, issuer, "set sslrootcert"}},
		{"authority of an intermediate certificate", &floor{}, unverified, []string{names, issuer, "set sslrootcert"}},
		{"authority without a certificate", &floor{}, x509.UnknownAuthorityError{}, []string{"set sslrootcert"}},
		{"Azure, name", &floor{azure: true}, otherName, []string{`not for "x.example.org" but for ` + names, "under azure.com"}},
		{"name", &floor{}, otherName, []string{`not for "x.example.org" but for ` + names, "hostaddr", "verify-ca"}},
		{"name of a certificate that has none", &floor{}, x509.HostnameError{Certificate: middle, Host: "x"}, []string{`no subjectAltName`, `"CN=middle"`, "verify-ca"}},
		{"expired", &floor{}, &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: leaf, Reason: x509.Expired}}, []string{names, issuer, "from 1970-01-01T00:00:00Z to 2001-09-09T01:46:40Z", "set the clock"}},
		{"not yet valid", &floor{}, x509.CertificateInvalidError{Cert: future, Reason: x509.Expired}, []string{issuer, "not valid yet", "from 9999-01-01T00:00:00Z", "set the clock"}},
		{"usage", &floor{}, x509.CertificateInvalidError{Cert: leaf, Reason: x509.IncompatibleUsage}, []string{names, issuer, "server authentication"}},
		{"no TLS, direct", &floor{direct: true}, record, []string{"PostgreSQL 17", "sslnegotiation=direct"}},
		{"no TLS after it was agreed on", &floor{}, record, []string{"does not speak TLS here", "check host and port"}},
		{"old TLS", &floor{}, errors.New("tls: server selected unsupported protocol version 301; remote error: tls: protocol version not supported"), []string{"ssl_min_protocol_version", "was sent nothing"}},
		{"no client certificate", &floor{}, remote("certificate required"), []string{"wants a client certificate", "sslcert and sslkey"}},
		{"client certificate refused", &floor{}, remote("unknown certificate authority"), []string{"refused the client certificate", "authority of sslcert"}},
		{"no TLS", &floor{}, fmt.Errorf("%w: the server offers no TLS", ErrInsecureTLS), []string{"nothing was sent", "ssl = on"}},
		{"below the floor", &floor{}, fmt.Errorf("%w: the handshake is not complete", ErrInsecureTLS), []string{"nothing was sent"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			fault := row.floor.fault(row.err)
			if fault == nil {
				t.Fatal("no row fits")
			}
			met[fault] = true
			err := row.floor.explain(row.err)
			for _, part := range append(row.says, "TLS: ") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\nlacks %s", err, part)
				}
			}
			if errors.Unwrap(err) != row.err || strings.ContainsAny(err.Error(), "\n{}") {
				t.Errorf("%q does not unwrap to its cause, or is not one filled line", err)
			}
		})
	}
	for i := range tlsFaults {
		if !met[&tlsFaults[i]] {
			t.Errorf("no case meets the row %d, %s: %s", i, tlsFaults[i].says, tlsFaults[i].means)
		}
	}
	if err := errors.New("boom"); (&floor{}).explain(err) != err {
		t.Error("an error that is not about TLS was changed")
	}
}
