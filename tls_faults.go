package azurepg

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"
)

// tlsError is a failure to reach the floor, with what to do about it.
type tlsError struct {
	advice string
	err    error
}

func (e *tlsError) Error() string { return "TLS: " + e.advice }
func (e *tlsError) Unwrap() error { return e.err }

// tlsFault is a way to miss the floor. Without means, what the error says is
// quoted.
type tlsFault struct {
	explanation
	is func(*floor, error) bool
}

// The first row that fits counts.
var tlsFaults = []tlsFault{
	{is: func(f *floor, err error) bool { return f.azure && isAuthority(err) }, explanation: explanation{
		says: "an authority that is not trusted here", means: "the server's certificate, for {names}, is signed by an authority that is not trusted here, {issuer}",
		advice: "Azure's is public: install current CA certificates on this machine, and leave sslrootcert out; else somebody is in between", readme: true}},
	{is: func(f *floor, err error) bool { return f.roots != nil && isAuthority(err) }, explanation: explanation{
		says: "an authority that is not trusted here", means: "the server's certificate, for {names}, is signed by an authority that is not trusted here, {issuer}",
		advice: "it is not in the file of sslrootcert: check that file, and that this is the right server"}},
	{is: func(_ *floor, err error) bool { return isAuthority(err) }, explanation: explanation{
		says: "an authority that is not trusted here", means: "the server's certificate, for {names}, is signed by an authority that is not trusted here, {issuer}",
		advice: "set sslrootcert to the file of that authority's certificate; if the server ought to have a public one, somebody is in between"}},
	{is: func(f *floor, err error) bool { return f.azure && errors.As(err, new(x509.HostnameError)) }, explanation: explanation{
		says: "the server's certificate is not for", means: "the server's certificate is not for {host} but for {names}",
		advice: "set host to the server's name under azure.com, and hostaddr to the address to dial"}},
	{is: func(_ *floor, err error) bool { return errors.As(err, new(x509.HostnameError)) }, explanation: explanation{
		says: "the server's certificate is not for", means: "the server's certificate is not for {host} but for {names}",
		advice: "set host to a name in the certificate and hostaddr to the address to dial, or sslmode=verify-ca with sslrootcert"}},
	{is: func(_ *floor, err error) bool {
		var invalid x509.CertificateInvalidError
		return errors.As(err, &invalid) && invalid.Reason == x509.Expired
	}, explanation: explanation{
		says: "is valid from", means: "a certificate of the server, for {names} and issued by {issuer}, is valid from {from} to {until}, and this machine's clock says {now}",
		advice: "renew the certificate, or set the clock"}},
	{is: func(_ *floor, err error) bool { return errors.As(err, new(x509.CertificateInvalidError)) }, explanation: explanation{
		says: "x509: certificate", means: "a certificate of the server, for {names} and issued by {issuer}, cannot serve: {error}",
		advice: "give the server one for server authentication, signed by a certificate authority"}},
	{is: func(f *floor, err error) bool { return f.direct && errors.As(err, new(tls.RecordHeaderError)) }, explanation: explanation{
		says: "does not look like a TLS handshake", means: "{error}: the server does not speak TLS here", advice: "leave sslnegotiation=direct out: it needs PostgreSQL 17 or newer"}},
	{is: func(_ *floor, err error) bool { return errors.As(err, new(tls.RecordHeaderError)) }, explanation: explanation{
		says: "does not look like a TLS handshake", means: "{error}: the server does not speak TLS here", advice: "check host and port"}},
	{is: says("protocol version not supported"), explanation: explanation{
		says: "protocol version not supported", means: "{error}: the server speaks nothing as new as ssl_min_protocol_version demands, and was sent nothing",
		advice: "let it speak TLS 1.2 or newer; Azure's servers do, so check host and port"}},
	{is: says("offers no TLS"), explanation: explanation{
		says: "offers no TLS", means: "{error}; nothing was sent", advice: "check host and port, Azure's servers always speak TLS; on a server of your own set ssl = on"}},
	{is: func(_ *floor, err error) bool { return errors.Is(err, ErrInsecureTLS) }, explanation: explanation{
		says: "a token is only ever sent inside TLS", means: "{ours}", advice: "nothing was sent"}},
}

func isAuthority(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }

func says(words string) func(*floor, error) bool {
	return func(_ *floor, err error) bool { return strings.Contains(err.Error(), words) }
}

// explain says what is wrong with a server's TLS and which setting is meant for
// the case. The words of certificates are foreign.
func (f *floor) explain(err error) error {
	row := f.fault(err)
	if row == nil {
		return err
	}
	return &tlsError{advice: row.text(tlsFacts(err)), err: err}
}

func (f *floor) fault(err error) *tlsFault {
	for i := range tlsFaults {
		if row := &tlsFaults[i]; row.is(f, err) {
			return row
		}
	}
	return nil
}

func tlsFacts(err error) map[string]string {
	quoted := quoteForeign(err.Error())
	facts := map[string]string{"error": quoted, "ours": strings.Trim(quoted, `"`), "now": time.Now().UTC().Format(time.RFC3339)}
	var name x509.HostnameError
	if errors.As(err, &name) {
		facts["host"] = quoteForeign(name.Host)
	}
	cert := faultyCertificate(err)
	if cert == nil {
		cert = &x509.Certificate{}
	}
	facts["names"] = quoteForeign(strings.Join(certificateNames(cert), ", "))
	var chain *tls.CertificateVerificationError
	if isAuthority(err) && errors.As(err, &chain) && len(chain.UnverifiedCertificates) > 0 { // cert can be an intermediate one
		facts["names"] = quoteForeign(strings.Join(certificateNames(chain.UnverifiedCertificates[0]), ", "))
	}
	facts["issuer"] = quoteForeign(cert.Issuer.String())
	facts["from"], facts["until"] = cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339)
	return facts
}

// faultyCertificate returns the certificate that err complains of, which need
// not be the server's own.
func faultyCertificate(err error) *x509.Certificate {
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

// certificateNames are the names that cert is for; those of an authority are its
// subject.
func certificateNames(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if names == nil {
		names = []string{cert.Subject.String()}
	}
	return names
}
