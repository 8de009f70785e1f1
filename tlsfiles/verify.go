package tlsfiles

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/azurepg/azurepg/internal/explain"
)

// Verify verifies the certificates of state as the mode demands, by the CAFile as
// it is now and for the name serverName. It is what a Config does by itself, for those
// who want to check a connection that another configuration may have made. Without
// explanation its errors are those of crypto/tls.
func (f *Files) Verify(state tls.ConnectionState, serverName string) error {
	switch {
	case !f.opts.verifies():
		return nil
	case len(state.PeerCertificates) == 0:
		return errors.New("the server sent no certificate")
	case f.opts.Mode == VerifyCA:
		serverName = ""
	case serverName == "": // x509 would not look at names
		return errors.New("there is no name to verify the server's certificate by: an IP address was dialled, so Files.Config must be told")
	}
	opts := x509.VerifyOptions{DNSName: serverName, Intermediates: x509.NewCertPool()}
	if f.roots != nil {
		opts.Roots = f.roots.get().pool
	}
	for _, cert := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	chains, err := state.PeerCertificates[0].Verify(opts)
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	if f.roots != nil { // those of the system are renewed by others
		f.expiry.lookAtChains(f.opts.Names.CA, chains)
	}
	return nil
}

// connectionKey is what a line is logged for at level Info once.
type connectionKey struct {
	peer            [sha256.Size]byte
	version, cipher uint16
}

// note logs that TLS stands: what one looks for when something is wrong.
func (f *Files) note(state tls.ConnectionState) {
	leaf := &x509.Certificate{}
	if len(state.PeerCertificates) > 0 {
		leaf = state.PeerCertificates[0]
	}
	level, words := slog.LevelInfo, "azurepg: TLS: the server is verified"
	if !f.opts.verifies() {
		level, words = slog.LevelWarn, "azurepg: TLS: the server is not verified"
	}
	if !f.isNew(connectionKey{sha256.Sum256(leaf.Raw), state.Version, state.CipherSuite}) {
		level = slog.LevelDebug
	}
	ctx := context.Background()
	if !f.opts.Logger.Enabled(ctx, level) {
		return
	}
	f.opts.Logger.LogAttrs(ctx, level, words, slog.String("version", tls.VersionName(state.Version)), slog.String("cipher", tls.CipherSuiteName(state.CipherSuite)),
		slog.String("peer", cut(strings.Join(explain.Names(leaf), ", "))), slog.Int("days_left", int(time.Until(leaf.NotAfter)/day)))
}

// isNew reports whether key has not been seen before. It forgets when there are many.
func (f *Files) isNew(key connectionKey) bool {
	const many = 100
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen[key] {
		return false
	}
	if len(f.seen) >= many {
		clear(f.seen)
	}
	f.seen[key] = true
	return true
}
