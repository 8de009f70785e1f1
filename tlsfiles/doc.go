// Package tlsfiles makes TLS configurations from files that may be replaced at any
// time: an authority's certificates, a client certificate and its key. A rotated
// file is taken up by the next connection, without a restart.
//
//	files, err := tlsfiles.New(tlsfiles.Options{
//		CAFile: "/tls/ca.crt", CertFile: "/tls/tls.crt", KeyFile: "/tls/tls.key",
//		Logger: slog.Default(),
//	})
//	…
//	client := redis.NewClient(&redis.Options{Addr: "cache.example.com:6380", TLSConfig: files.Config("cache.example.com")})
//
// azurepg itself uses it for sslrootcert, sslcert and sslkey. It needs nothing but
// the standard library and works with every client that takes a *tls.Config, and
// keeps it for ever.
//
// # Rotation
//
// Each handshake looks at the files, and reads them if they have changed: by time,
// size, mode or identity, through symbolic links, so that Kubernetes' swap of a
// volume's ..data is seen. A file that changed within the last two seconds is read
// again even if it looks the same. There is no goroutine and no timer, and nothing to
// close.
//
// What the files hold is checked before it is used. While a rotation is half done,
// such as a new certificate beside the old key, while a file is missing, cannot
// be read, or ends in the middle of a certificate, the last good state stays in use
// and one warning says why. Certificate and key change together, or not at all.
// Connections that stand are not touched.
//
// # Verification
//
// The least is TLS 1.2. The modes are those of libpq, and the names that redis-py
// and Celery have for them are understood; see Mode. A mode that verifies nothing is
// an error unless Options.AllowUnverified is set: no file and no variable can
// do that. Certificates need a subjectAltName: Go looks at no other name.
//
// With a CAFile a Config has InsecureSkipVerify and a VerifyConnection that does the
// whole of crypto/tls's verification, since the roots of a Config in use cannot change;
// only what FIPS 140 mode (GODEBUG=fips140) demands of chains beyond that is not
// checked. It runs when a session is resumed, too.
//
// # Key files
//
// As in libpq, a key file must be readable by its owner alone (mode 0600 or less), or,
// if root owns it, by its group too (0640). Windows is not checked.
//
// # Expiry
//
// A certificate that ends within 30 days, within 7 and within 1 is reported once
// each time, and once more when it has ended: with a warning, and to
// Options.OnExpiry. Of these times those beyond half of its life are left out. That is
// looked at when it is used. Watched are the client certificate and, with a CAFile, the certificates that a verified server stands on.
package tlsfiles
