package tlsfiles

import (
	"cmp"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
)

// Files are the files of Options, looked at anew by each handshake. There is nothing
// to close, and it is safe for concurrent use.
type Files struct {
	opts   Options               // complete
	roots  *watched[*anchors]    // nil: the system's
	pair   *watched[*clientPair] // nil: no client certificate
	expiry expiryWatch

	mu   sync.Mutex // guards seen
	seen map[connectionKey]bool
}

// New reads the files. Its errors are *Error. It dials nothing.
func New(opts Options) (*Files, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	f := &Files{opts: opts, expiry: expiryWatch{logger: opts.Logger, call: opts.OnExpiry}, seen: map[connectionKey]bool{}}
	if opts.CAFile != "" {
		f.roots = &watched[*anchors]{files: []file{{path: opts.CAFile, name: opts.Names.CA}}, parse: parseAnchors, logger: opts.Logger}
		if err := f.roots.first(); err != nil {
			return nil, err
		}
	}
	if opts.CertFile != "" {
		f.pair = &watched[*clientPair]{files: []file{{path: opts.CertFile, name: opts.Names.Cert}, {path: opts.KeyFile, name: opts.Names.Key, secret: true}},
			parse: parsePair, logger: opts.Logger}
		if err := f.pair.first(); err != nil {
			return nil, err
		}
		f.clientPair()
	}
	return f, nil
}

// complete fills in the defaults, or says what is wrong.
func (o *Options) complete() error {
	n := &o.Names
	n.CA, n.Cert = cmp.Or(n.CA, "CAFile"), cmp.Or(n.Cert, "CertFile")
	n.Key, n.Mode = cmp.Or(n.Key, "KeyFile"), cmp.Or(n.Mode, "Mode")
	o.MinVersion = cmp.Or(o.MinVersion, tls.VersionTLS12)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	mode, err := ParseMode(string(o.Mode))
	if err != nil {
		return &Error{n.Mode, err}
	}
	if o.Mode = mode; mode == Require && o.CAFile != "" {
		o.Mode = VerifyCA
	}
	switch {
	case o.MinVersion != tls.VersionTLS12 && o.MinVersion != tls.VersionTLS13:
		return &Error{"MinVersion", errors.New("it must be tls.VersionTLS12 or tls.VersionTLS13")}
	case o.Mode == VerifyCA && o.CAFile == "":
		return &Error{n.Mode, errors.New("verify-ca needs a file in " + n.CA + ", since anybody can have a certificate that the system trusts: name one, or use verify-full")}
	case !o.verifies() && !o.AllowUnverified:
		return &Error{n.Mode, errors.New("with " + string(mode) + " the server would not be verified, which only code can allow: use verify-full, or set " + n.CA + " too")}
	case o.CertFile != "" && o.KeyFile == "":
		return &Error{n.Key, errors.New(n.Cert + " is set without it: give both")}
	case o.KeyFile != "" && o.CertFile == "":
		return &Error{n.Cert, errors.New(n.Key + " is set without it: give both")}
	}
	return nil
}

// verifies reports whether the completed Mode verifies anything.
func (o *Options) verifies() bool { return o.Mode == VerifyFull || o.Mode == VerifyCA }

// Config returns a configuration for connections to the host serverName, a name or an
// IP address without port, which the client may keep as long as it likes: rotated
// files are taken up by its next handshake. The caller may add to it, such as
// NextProtos, but not change what is set.
//
// An empty serverName is the one that the client fills in when it dials, as go-redis
// and amqp091 do. It must be a name then, and no IP address: those are not
// part of a handshake, so that it fails.
func (f *Files) Config(serverName string) *tls.Config {
	c := &tls.Config{ServerName: serverName, MinVersion: f.opts.MinVersion}
	// The roots of a Config cannot change, so VerifyConnection verifies by those of
	// the moment. The system's do not change, and crypto/tls goes by them.
	c.InsecureSkipVerify = f.roots != nil || !f.opts.verifies()
	ours := f.roots != nil && f.opts.verifies()
	c.VerifyConnection = func(state tls.ConnectionState) error {
		name := serverName
		if name == "" {
			name = state.ServerName
		}
		if ours {
			if err := f.Verify(state, name); err != nil {
				return f.Explain(err)
			}
		}
		f.logServer(state)
		return nil
	}
	if f.pair != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &f.clientPair().cert, nil
		}
	}
	return c
}

// ConfigNow is Config for one connection that is made at once. In mode VerifyFull it is
// crypto/tls that verifies the server, by the CAFile as it is now, so that
// ConnectionState.VerifiedChains is there to look at. Errors of the verification are
// then not explained yet.
func (f *Files) ConfigNow(serverName string) *tls.Config {
	c := f.Config(serverName)
	if f.roots == nil || f.opts.Mode != VerifyFull {
		return c
	}
	c.InsecureSkipVerify, c.RootCAs = false, f.roots.get().pool
	c.VerifyConnection = func(state tls.ConnectionState) error {
		f.expiry.lookAtChains(f.opts.Names.CA, state.VerifiedChains)
		f.logServer(state)
		return nil
	}
	return c
}

func (f *Files) clientPair() *clientPair {
	p := f.pair.get()
	f.expiry.look(f.opts.Names.Cert, p.ends)
	return p
}
