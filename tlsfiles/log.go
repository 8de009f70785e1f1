package tlsfiles

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"strings"
	"time"

	"github.com/azurepg/azurepg/internal/explain"
)

// What an operator reads. Every line that this package writes stands here, and
// azurepg's package documentation lists them under Logging.

// logChange tells what a look at the files has changed.
func logChange(l *slog.Logger, files []file, fresh bool, err *Error) {
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, f.name)
	}
	level, message := slog.LevelInfo, "azurepg: TLS: changed files are taken up"
	attrs := []slog.Attr{slog.String("files", strings.Join(names, ", "))}
	switch {
	case err != nil:
		level, message = slog.LevelWarn, "azurepg: TLS: what the files hold now cannot serve, what they held before stays in use"
		attrs = append(attrs, slog.String("error", err.Name+": "+err.Err.Error()))
	case !fresh:
		return
	}
	l.LogAttrs(context.Background(), level, message, attrs...)
}

// logExpiry tells of a certificate that is about to end, or has.
func logExpiry(l *slog.Logger, e Expiry) {
	level, message := slog.LevelWarn, "azurepg: TLS: a certificate is about to end"
	if e.Left <= 0 {
		level, message = slog.LevelError, "azurepg: TLS: a certificate has ended"
	}
	l.LogAttrs(context.Background(), level, message, slog.String("file", e.Name), slog.String("subject", e.Subject),
		slog.Time("not_after", e.NotAfter), slog.Int("days_left", int(e.Left/day)))
}

// connectionKey is what a line is logged for once, but at level Debug.
type connectionKey struct {
	peer            [sha256.Size]byte
	version, cipher uint16
}

// logServer tells what stands: what one looks for when something is wrong.
func (f *Files) logServer(state tls.ConnectionState) {
	leaf := &x509.Certificate{}
	if len(state.PeerCertificates) > 0 {
		leaf = state.PeerCertificates[0]
	}
	level, message := slog.LevelInfo, "azurepg: TLS: the server is verified"
	if !f.opts.verifies() {
		level, message = slog.LevelWarn, "azurepg: TLS: the server is not verified"
	}
	if !f.isNew(connectionKey{sha256.Sum256(leaf.Raw), state.Version, state.CipherSuite}) {
		level = slog.LevelDebug
	}
	ctx := context.Background()
	if !f.opts.Logger.Enabled(ctx, level) {
		return
	}
	f.opts.Logger.LogAttrs(ctx, level, message, slog.String("version", tls.VersionName(state.Version)), slog.String("cipher", tls.CipherSuiteName(state.CipherSuite)),
		slog.String("peer", show(strings.Join(explain.Names(leaf), ", "))), slog.Int("days_left", int(time.Until(leaf.NotAfter)/day)))
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
