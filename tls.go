package azurepg

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// floor is the TLS that a Config demands: the least under which a token may
// leave. Every connection passes check before its start-up packet, whatever
// configuration it was made with.
type floor struct {
	mode    string // how a certificate is verified; tlsFromCode: as code says
	min     uint16
	direct  bool // TLS from the first byte, without an SSLRequest
	azure   bool
	hosts   []Host
	configs []*tls.Config // one for each host
	roots   *x509.CertPool
	timeout time.Duration // for one dial; zero: none
}

// tlsFromCode is the mode of a floor whose TLSConfig verifies by itself
// (InsecureSkipVerify with VerifyConnection).
const tlsFromCode = "code"

// newFloor reads the certificate files of cfg, which is checked.
func newFloor(cfg *Config) (*floor, error) {
	f := &floor{
		mode: cfg.SSLMode, min: tls.VersionTLS12, direct: cfg.SSLNegotiation == "direct",
		hosts: cfg.Hosts, timeout: max(cfg.ConnectTimeout, 0),
	}
	if cfg.SSLMinVersion == "TLSv1.3" {
		f.min = tls.VersionTLS13
	}
	for _, h := range f.hosts {
		_, _, azure := azureHost(h.Name)
		f.azure = f.azure || azure
	}
	base, err := f.template(cfg)
	if err != nil {
		return nil, err
	}
	for _, h := range f.hosts {
		f.configs = append(f.configs, f.config(base, h))
	}
	return f, f.checkStatic()
}

// template returns the tls.Config of cfg without what differs from host to host.
func (f *floor) template(cfg *Config) (*tls.Config, error) {
	if t := cfg.TLSConfig; t != nil {
		if t.InsecureSkipVerify && t.VerifyConnection == nil {
			return nil, &DSNError{Key: "TLSConfig", Err: fmt.Errorf("%w: InsecureSkipVerify needs a VerifyConnection", ErrInsecureTLS)}
		}
		f.mode = sslVerifyFull
		if t.InsecureSkipVerify {
			f.mode = tlsFromCode
		}
		return t.Clone(), nil
	}
	t := &tls.Config{}
	if cfg.SSLRootCert != "" && cfg.SSLRootCert != systemRoots {
		pem, err := os.ReadFile(cfg.SSLRootCert)
		if err != nil {
			return nil, fileError("sslrootcert", err)
		}
		f.roots = x509.NewCertPool()
		if !f.roots.AppendCertsFromPEM(pem) {
			return nil, &DSNError{Key: "sslrootcert", Err: errors.New("the file holds no certificate in PEM")}
		}
		t.RootCAs = f.roots
	}
	if cfg.SSLCert != "" {
		cert, err := keyPair(cfg.SSLCert, cfg.SSLKey)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{cert}
	}
	switch f.mode {
	case sslRequire:
		t.InsecureSkipVerify = true // asked for by name, and never for an Azure host
	case sslVerifyCA:
		t.InsecureSkipVerify = true // the chain is verified below, only the name is not
		t.VerifyConnection = f.verifyChain
	}
	return t, nil
}

func keyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, fileError("sslcert", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, fileError("sslkey", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, &DSNError{Key: "sslcert", Err: errors.New("sslcert and sslkey must be a certificate and its own unencrypted private key in PEM")}
	}
	return pair, nil
}

func (f *floor) config(base *tls.Config, h Host) *tls.Config {
	t := base.Clone()
	if t.ServerName == "" {
		t.ServerName = h.Name
	}
	t.MinVersion = max(t.MinVersion, f.min)
	if f.direct {
		t.NextProtos = []string{"postgresql"}
	}
	return t
}

// checkStatic checks the configurations before anything is dialled.
func (f *floor) checkStatic() error {
	for i, t := range f.configs {
		if t == nil || t.MinVersion < tls.VersionTLS12 || t.MaxVersion != 0 && t.MaxVersion < t.MinVersion {
			return &DSNError{Key: "TLSConfig", Err: fmt.Errorf("%w: TLS 1.2 or newer must be possible", ErrInsecureTLS)}
		}
		if t.InsecureSkipVerify && t.VerifyConnection == nil && (f.mode != sslRequire || f.azure) {
			return &DSNError{Key: "sslmode", Err: fmt.Errorf("%w: host %d would not be verified", ErrInsecureTLS, i+1)}
		}
	}
	return nil
}

// handshake completes the handshake on conn and checks its outcome.
func (f *floor) handshake(ctx context.Context, conn *tls.Conn) error {
	if err := conn.HandshakeContext(ctx); err != nil {
		return f.explain(err)
	}
	if err := f.check(conn.ConnectionState()); err != nil {
		return f.explain(err)
	}
	return nil
}

// check is the check at run time. It goes by the state of the connection, not by
// the configuration, which a hook may have changed: the version, that the
// certificate was verified, and that it is for one of the hosts.
func (f *floor) check(state tls.ConnectionState) error {
	switch {
	case !state.HandshakeComplete || len(state.PeerCertificates) == 0:
		return fmt.Errorf("%w: the handshake is not complete", ErrInsecureTLS)
	case state.Version < f.min:
		return fmt.Errorf("%w: the server speaks %s", ErrInsecureTLS, tls.VersionName(state.Version))
	case f.direct && state.NegotiatedProtocol != "postgresql":
		return fmt.Errorf("%w: with sslnegotiation=direct the server must choose the protocol postgresql", ErrInsecureTLS)
	case f.mode == sslVerifyCA:
		return f.verifyChain(state)
	case f.mode == tlsFromCode:
		return f.configs[0].VerifyConnection(state)
	case f.mode == sslRequire:
		return nil
	case len(state.VerifiedChains) == 0:
		return fmt.Errorf("%w: the certificate was not verified", ErrInsecureTLS)
	}
	// crypto/tls has verified the name that it sent. An IP address is not sent, and
	// compared with the certificate once more.
	if sent := state.ServerName; sent != "" {
		for _, t := range f.configs {
			if sent == strings.TrimSuffix(t.ServerName, ".") {
				return nil
			}
		}
	}
	var err error
	for _, t := range f.configs {
		if err = state.PeerCertificates[0].VerifyHostname(t.ServerName); err == nil {
			return nil
		}
	}
	return err
}

// verifyChain verifies the certificate's chain, but not the name in it.
func (f *floor) verifyChain(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server sent no certificate")
	}
	opts := x509.VerifyOptions{Roots: f.roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(opts)
	return err
}

// dial opens a verified TLS connection to the host of the Config whose
// "host:port" is address: the one dial function for bases without a TLS
// that azurepg can look into. Hosts that differ only in their Addr are tried in
// order, unless address has the Addr of one.
func (f *floor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	err := fmt.Errorf("%w: only the hosts of the DSN are dialled", ErrInsecureTLS)
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, err
	}
	for i, h := range f.hosts {
		if h.address() != address && h.dialAddress() != address {
			continue
		}
		var conn net.Conn
		if conn, err = f.dialHost(ctx, network, i); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// dialHost opens a verified TLS connection to host i.
func (f *floor) dialHost(ctx context.Context, network string, i int) (_ net.Conn, err error) {
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, f.hosts[i].dialAddress())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	if !f.direct {
		if err := requestTLS(ctx, conn); err != nil {
			return nil, f.explain(err)
		}
	}
	secure := tls.Client(conn, f.configs[i])
	if err := f.handshake(ctx, secure); err != nil {
		return nil, err
	}
	return secure, nil
}

// sslRequest is the message that asks a PostgreSQL server for TLS.
// Source: PostgreSQL documentation, Message Formats, SSLRequest.
var sslRequest = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}

// requestTLS asks for TLS. It reads one byte and no more: what an attacker has
// put behind it in clear is the handshake's to refuse.
func requestTLS(ctx context.Context, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var answer [1]byte
	_, err := conn.Write(sslRequest)
	if err == nil {
		_, err = io.ReadFull(conn, answer[:])
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case answer[0] != 'S':
		return fmt.Errorf("%w: the server offers no TLS", ErrInsecureTLS)
	}
	return nil
}

func (h Host) port() uint16 {
	if h.Port == 0 {
		return defaultPort
	}
	return h.Port
}

// address is the host as the base driver knows it.
func (h Host) address() string { return net.JoinHostPort(h.Name, strconv.Itoa(int(h.port()))) }

// dialName is what is dialled in place of the name.
func (h Host) dialName() string {
	if h.Addr != "" {
		return h.Addr
	}
	return h.Name
}

// dialAddress is where the host is dialled.
func (h Host) dialAddress() string {
	return net.JoinHostPort(h.dialName(), strconv.Itoa(int(h.port())))
}
