// Package explain holds what azurepg and tlsfiles say alike: which failure of TLS
// an error is, its cause in words, and the facts to fill them with. What to do about
// it depends on whose settings they are, and stands with them.
package explain

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Fill puts facts in the place of their {names}. The facts must be fit to print;
// what is in braces in one of them stays as it is.
func Fill(text string, facts map[string]string) string {
	var pairs []string
	for name, fact := range facts {
		pairs = append(pairs, "{"+name+"}", fact)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// File says why a file could not be read, without naming it.
func File(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the file does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "this user may not read the file"
	}
	return "the file cannot be read"
}

// Kind is a kind of failure.
type Kind int

// The kinds. Unknown is none of the others.
const (
	Unknown     Kind = iota
	Authority        // the certificate's authority is not trusted
	NoName           // the certificate has no subjectAltName
	OtherName        // it has others
	Expired          // a certificate of the server has ended
	NotYetValid      // or not begun
	Unsuitable       // or cannot serve
	NoTLS            // the server answers something else
	TooOld           // no version of TLS in common, or no cipher suite of one
	CertMissing      // the server wants a client certificate
	CertRefused      // the server does not want this one
	Refused          // the connection, by the kernel
)

var means = [...]string{
	Authority:   "the server's certificate, for {names}, is signed by an authority that is not trusted here, {issuer}",
	NoName:      "the server's certificate has no subjectAltName, and so is for no host: the name in its subject, {subject}, does not count",
	OtherName:   "the server's certificate is not for {host} but for {names}",
	Expired:     "a certificate of the server, for {names} and issued by {issuer}, is valid from {from} to {until}, and this machine's clock says {now}",
	NotYetValid: "a certificate of the server, for {names} and issued by {issuer}, is not valid yet: from {from} to {until}, and this machine's clock says {now}",
	Unsuitable:  "a certificate of the server, for {names} and issued by {issuer}, cannot serve: {error}",
	NoTLS:       "{error}: the server does not speak TLS here",
	TooOld:      "{error}: client and server have no version of TLS in common, or no cipher suite of one",
	CertMissing: "{error}: the server wants a client certificate",
	CertRefused: "{error}: the server refused the client certificate, or wants one",
	Refused:     "{error}: nothing listens at this host and port",
}

// Means is the cause in words, with {names} for Fill.
func (k Kind) Means() string { return means[k] }

// Of returns the kind of err. What a server refused is known by the server's
// alert, and seen after the handshake, in the first answer, with TLS 1.3.
func Of(err error) Kind {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return Unknown
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return Authority
	case errors.As(err, &name) && len(alternatives(name.Certificate)) == 0:
		return NoName
	case errors.As(err, &name):
		return OtherName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return NotYetValid
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Expired
	case errors.As(err, &invalid):
		return Unsuitable
	case errors.As(err, new(tls.RecordHeaderError)):
		return NoTLS
	case strings.Contains(err.Error(), "protocol version not supported"):
		return TooOld
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	}
	return ofAlert(err)
}

// ofAlert goes by what the server's alert says: crypto/tls has no other way. An OpenSSL
// that misses a client certificate calls it a handshake failure with TLS 1.2.
func ofAlert(err error) Kind {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return Unknown
	}
	alert := op.Err.Error()
	switch {
	case strings.Contains(alert, "certificate required"):
		return CertMissing
	case strings.Contains(alert, "insufficient security level"): // RabbitMQ without suites of TLS 1.3
		return TooOld
	}
	for _, words := range []string{"bad certificate", "unsupported certificate", "revoked certificate", "expired certificate",
		"unknown certificate", "access denied", "handshake failure"} {
		if strings.Contains(alert, words) {
			return CertRefused
		}
	}
	return Unknown
}

// Facts are those of Means. The words of certificates and servers are foreign: quote
// makes them fit to print.
func Facts(err error, quote func(string) string) map[string]string {
	quoted := quote(err.Error())
	facts := map[string]string{"error": quoted, "ours": strings.Trim(quoted, `"`), "now": time.Now().UTC().Format(time.RFC3339)}
	var name x509.HostnameError
	if errors.As(err, &name) {
		facts["host"] = quote(name.Host)
	}
	cert := faulty(err)
	if cert == nil {
		cert = &x509.Certificate{}
	}
	facts["names"] = quote(strings.Join(Names(cert), ", "))
	var chain *tls.CertificateVerificationError
	if errors.As(err, new(x509.UnknownAuthorityError)) && errors.As(err, &chain) && len(chain.UnverifiedCertificates) > 0 { // cert can be an intermediate one
		facts["names"] = quote(strings.Join(Names(chain.UnverifiedCertificates[0]), ", "))
	}
	facts["subject"], facts["issuer"] = quote(cert.Subject.String()), quote(cert.Issuer.String())
	facts["from"], facts["until"] = cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339)
	return facts
}

// faulty returns the certificate that err complains of, which need not be the
// server's own.
func faulty(err error) *x509.Certificate {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &authority):
		return authority.Cert
	case errors.As(err, &name):
		return name.Certificate
	case errors.As(err, &invalid):
		return invalid.Cert
	}
	return nil
}

// Names are the names that cert is for; those of an authority are its subject.
func Names(cert *x509.Certificate) []string {
	if names := alternatives(cert); len(names) > 0 {
		return names
	}
	return []string{cert.Subject.String()}
}

func alternatives(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
