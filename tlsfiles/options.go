package tlsfiles

import (
	"log/slog"
	"os"
	"time"
)

// Options say which files and how to verify. The zero value verifies servers in
// full, by the system's roots, and has no client certificate.
type Options struct {
	// CAFile holds the certificates in PEM of the authorities that are trusted, and
	// no others are. Empty: the system's, which Go reads once in a process.
	CAFile string
	// CertFile and KeyFile hold the client's certificate, with intermediate ones
	// after it, and its unencrypted private key, in PEM; one file may hold both. Both
	// are empty or none: then there is no client certificate.
	CertFile, KeyFile string
	// Mode is how the server is verified. Empty: VerifyFull.
	Mode Mode
	// AllowUnverified lets Mode be None, or Require without a CAFile: whoever is in
	// between can then read and change everything.
	AllowUnverified bool
	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13. Zero: TLS 1.2.
	MinVersion uint16
	// Logger receives a line when a server is verified (Info for each new
	// combination of server certificate, version and cipher, else Debug), when
	// changed files are taken up, and warnings for those that cannot serve and for
	// certificates that are about to end. Nil: silent.
	Logger *slog.Logger
	// OnExpiry is called when a warning of expiry is due, in the goroutine of a
	// handshake or of New: it should not block. Nil: nothing is called.
	OnExpiry func(Expiry)
	// Names are what errors and log lines call the settings.
	Names Names
}

// Names are what the settings are called where the user wrote them, such as
// REDIS_TLS_CA_CERT, so that errors can say which one is wrong. An empty one is the
// field's name in Options.
type Names struct {
	CA, Cert, Key, Mode string
}

// Expiry says that a certificate is about to end, or has ended.
type Expiry struct {
	// Name is Names.Cert for the client's certificate, Names.CA for one in CAFile,
	// and "server" for what a server sent.
	Name string
	// Subject is the certificate's: foreign text, cut and made printable.
	Subject string
	// NotAfter is when it ends.
	NotAfter time.Time
	// Left is the time until then; zero or less: it has ended.
	Left time.Duration
}

// FromEnv returns the Options in the variables CA_CERT, CERT_FILE, KEY_FILE and
// VERIFY_MODE whose names begin with prefix, such as "REDIS_TLS_". Those that are
// not set leave their field empty. Names are those of the variables.
func FromEnv(prefix string) Options {
	n := Names{CA: prefix + "CA_CERT", Cert: prefix + "CERT_FILE", Key: prefix + "KEY_FILE", Mode: prefix + "VERIFY_MODE"}
	return Options{CAFile: os.Getenv(n.CA), CertFile: os.Getenv(n.Cert), KeyFile: os.Getenv(n.Key), Mode: Mode(os.Getenv(n.Mode)), Names: n}
}
