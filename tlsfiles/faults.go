package tlsfiles

import (
	"errors"
	"strconv"

	"github.com/azurepg/azurepg/internal/explain"
	"github.com/azurepg/azurepg/internal/foreign"
)

// fault is a failure with its explanation.
type fault struct {
	text string
	err  error
}

func (e *fault) Error() string { return e.text }
func (e *fault) Unwrap() error { return e.err }

// advice says what to do about a kind of failure, in the settings' names.
var advice = map[explain.Kind]string{
	explain.Authority:   "set {ca} to the file of that authority's certificate; if the server ought to have a public one, somebody is in between",
	explain.NoName:      "make it anew with the server's names in subjectAltName",
	explain.OtherName:   "connect by a name that is in the certificate, or make one for this name",
	explain.Expired:     "renew the certificate, or set the clock",
	explain.NotYetValid: "set the clock, by NTP, or wait",
	explain.Unsuitable:  "give the server one for server authentication, signed by a certificate authority",
	explain.NoTLS:       "check host and port: TLS often has a port of its own",
	explain.TooOld:      "let the server speak TLS 1.2 or newer, and name suites of TLS 1.3 too where it lists its ciphers",
	explain.CertMissing: "set {cert} and {key} to the files of one that the server's authority has signed",
	explain.CertRefused: "check {cert}: that the server trusts its authority, that it has not ended, and that it is for client authentication",
	explain.Refused:     "check both, and that the server runs",
}

const notInFile = "it is not in the file of {ca}: check that file, and that this is the right server"

// Explain returns err with the cause and what to do in its text, where err is a failure
// to dial a server, to do the handshake or to be accepted by the server, of a
// kind that is known: a certificate of an unknown authority, for another name, without
// a subjectAltName, expired or not yet valid; a client certificate that the
// server misses or refuses; a server without TLS or with too old a one; a connection
// that is refused. errors.Is and As find err in it. What the server said is quoted
// and cut. Other errors, and nil, are returned as they are.
//
// Errors of the verification by a Config are explained already.
func (f *Files) Explain(err error) error {
	kind := explain.Of(err)
	if kind == explain.Unknown || errors.As(err, new(*fault)) {
		return err
	}
	what := advice[kind]
	if kind == explain.Authority && f.roots != nil {
		what = notInFile
	}
	facts := explain.Facts(err, quote)
	facts["ca"], facts["cert"], facts["key"] = f.opts.Names.CA, f.opts.Names.Cert, f.opts.Names.Key
	return &fault{text: "TLS: " + explain.Fill(kind.Means()+": "+what, facts), err: err}
}

// foreignLimit is how many bytes of a foreign text are shown.
const foreignLimit = 200

// quote makes foreign text fit to stand in a sentence, show on its own.
func quote(s string) string { return strconv.Quote(foreign.Cut(s, foreignLimit)) }

func show(s string) string { return foreign.Printable(foreign.Cut(s, foreignLimit), '?') }
