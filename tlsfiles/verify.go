package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Verify verifies the certificates of state as the mode demands, by the CAFile as
// it is now and for the name serverName. It is what a Config does by itself, for those
// who want to check a connection that another configuration may have made. Its
// errors are those of crypto/tls, without an explanation.
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
