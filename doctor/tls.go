package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/azurepg/azurepg"
)

// certificateWarning is how long before a certificate's end it is time to say so. Azure
// renews its own long before.
const certificateWarning = 14 * 24 * time.Hour

// secure does the TLS handshake with each address that was reached.
func (x *examination) secure(ctx context.Context, s *Step) error {
	open := slices.DeleteFunc(slices.Clone(x.targets), func(t *target) bool { return t.err != nil })
	err := x.reach(ctx, s, open, func(ctx context.Context, t *target) (_ []Finding, err error) {
		if t.tls, err = x.handshake(ctx, t); err != nil {
			return nil, err
		}
		return x.describe(t.tls), nil
	})
	for _, t := range open {
		switch {
		case t.tls == nil:
		case x.verified(t.tls) == verifiedNothing:
			s.warn("with sslmode=require nobody knows who the server is", "use verify-full, or verify-ca with sslrootcert")
		case time.Until(t.tls.PeerCertificates[0].NotAfter) < certificateWarning:
			s.warn("the server's certificate ends soon", "renew it")
		}
	}
	return err
}

// handshake connects to t as a login would.
func (x *examination) handshake(ctx context.Context, t *target) (*tls.ConnectionState, error) {
	cfg := withoutCredential(x.cfg)
	// The others stay in the list: one of Azure's makes all of them be verified in full.
	cfg.Hosts = append([]azurepg.Host{t.host}, cfg.Hosts...)
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	conn, err := c.Dial(ctx, "tcp", hostPort(t.host, t.host.Addr))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	state := conn.(interface{ ConnectionState() tls.ConnectionState }).ConnectionState()
	return &state, nil
}

const (
	verifiedInFull  = "certificate and name"
	verifiedByChain = "certificate, not the name"
	verifiedByCode  = "as Config.TLSConfig does"
	verifiedNothing = "nothing"
)

// verified says what of a server was verified.
func (x *examination) verified(state *tls.ConnectionState) string {
	switch {
	case len(state.VerifiedChains) > 0:
		return verifiedInFull
	case x.cfg.TLSConfig != nil:
		return verifiedByCode
	case x.cfg.SSLRootCert != "" && (x.cfg.SSLMode == "" || x.cfg.SSLMode == "verify-full"):
		return verifiedInFull // by azurepg, since the file may change, and not by crypto/tls
	case x.cfg.SSLMode == "verify-ca" || x.cfg.SSLRootCert != "":
		return verifiedByChain
	}
	return verifiedNothing
}

// describe says what a handshake showed.
func (x *examination) describe(state *tls.ConnectionState) []Finding {
	leaf, verified := state.PeerCertificates[0], x.verified(state)
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return []Finding{
		{Name: "version", Value: tls.VersionName(state.Version)},
		{Name: "cipher", Value: tls.CipherSuiteName(state.CipherSuite)},
		{Name: "verified", Value: verified},
		{Name: "names", Value: strings.Join(names, ", ")},
		{Name: "chain", Value: chainText(state, verified)},
		{Name: "valid_until", Value: leaf.NotAfter.UTC().Format(time.RFC3339)},
		{Name: "days_left", Value: fmt.Sprint(int(time.Until(leaf.NotAfter).Hours() / 24))},
	}
}

// chainText names the certificates from the server's own on, up to the authority that is
// trusted, if one was asked.
func chainText(state *tls.ConnectionState, verified string) string {
	chain := state.PeerCertificates
	if len(state.VerifiedChains) > 0 {
		chain = state.VerifiedChains[0]
	}
	var subjects []string
	name := func(n pkix.Name) {
		text := n.String()
		if text == "" {
			text = "(no subject)"
		}
		subjects = append(subjects, text)
	}
	for _, c := range chain {
		name(c.Subject)
	}
	byFile := len(state.VerifiedChains) == 0 && (verified == verifiedInFull || verified == verifiedByChain)
	if last := chain[len(chain)-1]; byFile && last.Issuer.String() != last.Subject.String() {
		name(last.Issuer)
	}
	return strings.Join(subjects, " ← ")
}
