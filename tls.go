package azurepg

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/azurepg/azurepg/tlsfiles"
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
	configs []*tls.Config   // one for each host, for as long as one likes
	files   *tlsfiles.Files // nil: TLSConfig is from code
	roots   *tlsfiles.Files // verify by the file of sslrootcert; nil: there is none
	timeout time.Duration   // for one dial; zero: none

	// verified are the certificates that a handshake by one of configs has last
	// verified by roots, until check has looked: those of that connection alone, and of
	// sessions that resume it, have the same memory.
	verified atomic.Pointer[*x509.Certificate]
}

// tlsFromCode is the mode of a floor whose TLSConfig verifies by itself
// (InsecureSkipVerify with VerifyConnection).
const tlsFromCode = "code"

// newFloor makes the floor of cfg, which is checked, and reads its certificate files.
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
	template, err := f.template(cfg)
	if err != nil {
		return nil, err
	}
	for _, h := range f.hosts {
		f.configs = append(f.configs, f.config(template(h.Name), h))
	}
	return f, f.checkStatic()
}

// template returns what makes the tls.Config for a host, without what azurepg
// demands of all.
func (f *floor) template(cfg *Config) (func(host string) *tls.Config, error) {
	if t := cfg.TLSConfig; t != nil {
		if t.InsecureSkipVerify && t.VerifyConnection == nil {
			return nil, &DSNError{Key: "TLSConfig", Err: fmt.Errorf("%w: InsecureSkipVerify needs a VerifyConnection", ErrInsecureTLS)}
		}
		f.mode = sslVerifyFull
		if t.InsecureSkipVerify {
			f.mode = tlsFromCode
		}
		return func(string) *tls.Config { return t.Clone() }, nil
	}
	files, err := tlsfiles.New(tlsfiles.Options{
		CAFile: cfg.SSLRootCert, CertFile: cfg.SSLCert, KeyFile: cfg.SSLKey,
		Mode: tlsfiles.Mode(f.mode), AllowUnverified: f.mode == sslRequire, // asked for by name, and never for an Azure host
		Logger: cfg.Logger, Names: tlsfiles.Names{CA: "sslrootcert", Cert: "sslcert", Key: "sslkey", Mode: "sslmode"},
	})
	var bad *tlsfiles.Error
	if errors.As(err, &bad) {
		return nil, &DSNError{Key: bad.Name, Err: bad.Err}
	} else if err != nil {
		return nil, err
	}
	if f.files = files; cfg.SSLRootCert != "" {
		f.roots = files
	}
	return files.Config, nil
}

func (f *floor) config(t *tls.Config, h Host) *tls.Config {
	if t.ServerName == "" {
		t.ServerName = h.Name
	}
	t.MinVersion = max(t.MinVersion, f.min)
	if f.direct {
		t.NextProtos = []string{"postgresql"}
	}
	if verify := t.VerifyConnection; verify != nil && f.roots != nil {
		t.VerifyConnection = func(state tls.ConnectionState) error {
			if err := verify(state); err != nil {
				return err
			}
			f.verified.Store(&state.PeerCertificates[0])
			return nil
		}
	}
	return t
}

// configNow is the configuration of host i for one connection, in whose state the chains
// are.
func (f *floor) configNow(i int) *tls.Config {
	if f.files == nil {
		return f.configs[i]
	}
	return f.config(f.files.ConfigNow(f.hosts[i].Name), f.hosts[i])
}

// checkStatic checks the configurations before anything is dialled.
func (f *floor) checkStatic() error {
	for i, t := range f.configs {
		if t == nil || t.MinVersion < tls.VersionTLS12 || t.MaxVersion != 0 && t.MaxVersion < t.MinVersion {
			return &DSNError{Key: "TLSConfig", Err: fmt.Errorf("%w: TLS 1.2 or newer must be possible", ErrInsecureTLS)}
		}
		if !f.verifies(t) {
			return &DSNError{Key: "sslmode", Err: fmt.Errorf("%w: host %d would not be verified", ErrInsecureTLS, i+1)}
		}
	}
	return nil
}

// verifies reports whether t verifies a server, or need not.
func (f *floor) verifies(t *tls.Config) bool {
	byFunc := t.VerifyConnection != nil && (f.roots != nil || f.mode == tlsFromCode)
	return !t.InsecureSkipVerify || byFunc || f.mode == sslRequire && !f.azure
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
	case f.roots != nil:
		return f.verify(state)
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

// verify verifies the certificate by the file of sslrootcert, as the mode demands and
// for one of the hosts, unless the handshake has just done so.
func (f *floor) verify(state tls.ConnectionState) (err error) {
	if !state.DidResume && f.verified.CompareAndSwap(&state.PeerCertificates[0], nil) {
		return nil
	}
	for _, t := range f.configs {
		if err = f.roots.Verify(state, t.ServerName); err == nil {
			return nil
		}
	}
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
	if end, ok := ctx.Deadline(); f.timeout > 0 && (!ok || time.Until(end) > f.timeout) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, f.hosts[i].dialAddress())
	if err != nil {
		return nil, timeUp(ctx, err)
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
	secure := tls.Client(conn, f.configNow(i))
	if err := f.handshake(ctx, secure); err != nil {
		return nil, err
	}
	return secure, nil
}

// timeUp returns the error of a dialer as one of ctx, if that is what it is. A dialer has
// a timer of its own for the deadline of ctx, which may strike first: then ctx is not done
// yet, and the error is no context.DeadlineExceeded.
func timeUp(ctx context.Context, err error) error {
	end, ok := ctx.Deadline()
	var dialer net.Error
	if !ok || time.Now().Before(end) || !errors.As(err, &dialer) || !dialer.Timeout() {
		return err
	}
	<-ctx.Done()
	return fmt.Errorf("%w: %w", ctx.Err(), err)
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
