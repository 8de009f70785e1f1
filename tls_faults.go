package azurepg

import (
	"strings"

	"github.com/azurepg/azurepg/internal/explain"
)

// tlsError is a failure to reach the floor, with what to do about it.
type tlsError struct {
	advice string
	err    error
}

func (e *tlsError) Error() string { return "TLS: " + e.advice }
func (e *tlsError) Unwrap() error { return e.err }

// tlsFault is a way to miss the floor: a kind, or words of an error of ours, where
// they fit a floor for which when is true. Without means, what the error says is quoted.
type tlsFault struct {
	explanation
	kind explain.Kind
	when func(*floor) bool // nil: always
}

func ofAzure(f *floor) bool   { return f.azure }
func withRoots(f *floor) bool { return f.roots != nil }
func isDirect(f *floor) bool  { return f.direct }

// With TLS 1.3 a server looks at the client's certificate when the handshake is over for
// the client: then the login fails.
const (
	setCert   = "set sslcert and sslkey to the files of one that an authority which the server trusts has signed"
	checkCert = "check that the server trusts the authority of sslcert, and that sslcert has not ended"
)

// The first row that fits counts.
var tlsFaults = []tlsFault{
	{kind: explain.Authority, when: ofAzure, explanation: explanation{says: "an authority that is not trusted here",
		advice: "Azure's is public: install current CA certificates on this machine, and leave sslrootcert out; else somebody is in between", readme: true}},
	{kind: explain.Authority, when: withRoots, explanation: explanation{says: "an authority that is not trusted here",
		advice: "it is not in the file of sslrootcert: check that file, and that this is the right server"}},
	{kind: explain.Authority, explanation: explanation{says: "an authority that is not trusted here",
		advice: "set sslrootcert to the file of that authority's certificate; if the server ought to have a public one, somebody is in between"}},
	{kind: explain.OtherName, when: ofAzure, explanation: explanation{says: "the server's certificate is not for",
		advice: "set host to the server's name under azure.com, and hostaddr to the address to dial"}},
	{kind: explain.OtherName, explanation: explanation{says: "the server's certificate is not for",
		advice: "set host to a name in the certificate and hostaddr to the address to dial, or sslmode=verify-ca with sslrootcert"}},
	{kind: explain.NoName, explanation: explanation{says: "has no subjectAltName",
		advice: "give the server a certificate with its names in subjectAltName, or set sslmode=verify-ca with sslrootcert"}},
	{kind: explain.Expired, explanation: explanation{says: "is valid from", advice: "renew the certificate, or set the clock"}},
	{kind: explain.NotYetValid, explanation: explanation{says: "is not valid yet", advice: "set the clock, by NTP, or wait"}},
	{kind: explain.Unsuitable, explanation: explanation{says: "cannot serve",
		advice: "give the server one for server authentication, signed by a certificate authority"}},
	{kind: explain.NoTLS, when: isDirect, explanation: explanation{says: "does not look like a TLS handshake",
		advice: "leave sslnegotiation=direct out: it needs PostgreSQL 17 or newer"}},
	{kind: explain.NoTLS, explanation: explanation{says: "does not look like a TLS handshake", advice: "check host and port"}},
	{kind: explain.TooOld, explanation: explanation{
		says: "protocol version not supported", means: "{error}: the server speaks nothing as new as ssl_min_protocol_version demands, and was sent nothing",
		advice: "let it speak TLS 1.2 or newer; Azure's servers do, so check host and port"}},
	{kind: explain.CertMissing, explanation: explanation{says: "certificate required", advice: setCert}},
	{kind: explain.CertRefused, explanation: explanation{says: "remote error: tls", advice: checkCert}},
	{explanation: explanation{
		says: "offers no TLS", means: "{error}; nothing was sent", advice: "check host and port, Azure's servers always speak TLS; on a server of your own set ssl = on"}},
	{explanation: explanation{
		says: "a token is only ever sent inside TLS", means: "{ours}", advice: "nothing was sent"}},
}

// explain says what is wrong with a server's TLS and which setting is meant for
// the case. The words of certificates are foreign.
func (f *floor) explain(err error) error {
	row := f.fault(err)
	if row == nil {
		return err
	}
	return &tlsError{advice: row.whole().text(explain.Facts(err, quoteForeign)), err: err}
}

func (f *floor) fault(err error) *tlsFault {
	kind := explain.Of(err)
	for i := range tlsFaults {
		if row := &tlsFaults[i]; row.kind == kind && (row.when == nil || row.when(f)) && (kind != explain.Unknown || strings.Contains(err.Error(), row.says)) {
			return row
		}
	}
	return nil
}

// whole is the row's explanation with the cause that its kind has.
func (row *tlsFault) whole() explanation {
	x := row.explanation
	if x.means == "" {
		x.means = row.kind.Means()
	}
	return x
}
