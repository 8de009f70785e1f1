package tlsfiles_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/tlsfiles"
)

// Every failure is met by a real handshake, and says what to do in the names of
// the settings.
func TestEveryFailureOfAHandshakeIsExplained(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "Evil\nCA")
	good := ca.issue(t)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plain.Close() })
	go func() {
		for {
			conn, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("-ERR Protocol error, got \"\\x16\" as reply\r\n"))
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	mutual := func() *server { return serve(t, good, ca) }
	shows := func(changes ...func(*x509.Certificate)) *server { return serve(t, ca.issue(t, changes...), nil) }
	old := serve(t, good, nil)
	old.config.Load().MaxVersion, old.config.Load().MinVersion = tls.VersionTLS11, tls.VersionTLS10
	twelve := mutual()
	twelve.config.Load().MaxVersion = tls.VersionTLS12
	for _, row := range []struct {
		name   string
		s      *server
		pair   *authority // of the client's certificate; nil: none
		noCA   bool
		says   []string
		target error
	}{
		{name: "unknown authority", s: serve(t, other.issue(t), nil), says: []string{`"localhost, 127.0.0.1"`, `"CN=Evil\nCA"`, "not in the file of R_CA"}, target: x509.UnknownAuthorityError{}},
		{name: "unknown authority, no file", s: serve(t, other.issue(t), nil), noCA: true, says: []string{`"CN=Evil\nCA"`, "set R_CA to the file"}, target: x509.UnknownAuthorityError{}},
		{name: "other name", s: shows(func(c *x509.Certificate) { c.DNSNames = []string{"redis.example.com"} }), says: []string{`not for "localhost" but for "redis.example.com, 127.0.0.1"`, "connect by a name"}},
		{name: "no SAN", s: shows(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }), says: []string{"no subjectAltName", `"CN=localhost"`, "make it anew"}},
		{name: "expired", s: shows(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), says: []string{"is valid from", "renew the certificate"}},
		{name: "not yet valid", s: shows(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), says: []string{"not valid yet", "set the clock"}},
		{name: "for clients only", s: shows(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), says: []string{"cannot serve: ", "server authentication"}},
		{name: "no client certificate", s: mutual(), says: []string{"wants a client certificate", "set R_CERT and R_KEY"}},
		{name: "no client certificate, TLS 1.2", s: twelve, says: []string{"refused the client certificate, or wants one", "check R_CERT"}},
		{name: "client certificate of another authority", s: mutual(), pair: other, says: []string{"refused the client certificate", "trusts its authority"}},
		{name: "TLS 1.1", s: old, says: []string{"no version of TLS in common", "TLS 1.2 or newer"}},
		{name: "no TLS", s: &server{addr: plain.Addr().String()}, says: []string{"does not speak TLS here", "check host and port"}},
		{name: "nothing there", s: &server{addr: closed.Addr().String()}, says: []string{"nothing listens at this host and port: check both"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			opts := tlsfiles.Options{CAFile: write(t, dir, "ca.crt", certPEM(ca.cert)), Names: tlsfiles.Names{CA: "R_CA", Cert: "R_CERT", Key: "R_KEY"}}
			if row.noCA {
				opts.CAFile = ""
			}
			if row.pair != nil {
				pair := row.pair.issue(t)
				opts.CertFile, opts.KeyFile = write(t, dir, "tls.crt", certPEM(pair.cert)), write(t, dir, "tls.key", pair.keyPEM(t))
			}
			f := mustNew(t, opts)
			cause := row.s.greet(t.Context(), f.Config("localhost"))
			err := f.Explain(cause)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.HasPrefix(err.Error(), "TLS: ") || strings.ContainsAny(err.Error(), "\n{}") || !errors.Is(err, cause) {
				t.Errorf("%q is not one filled line that unwraps to its cause", err)
			}
			for _, part := range row.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\nlacks %s", err, part)
				}
			}
			if again := f.Explain(err); again != err {
				t.Errorf("explained twice: %v", again)
			}
			if row.target != nil && !errors.As(err, new(x509.UnknownAuthorityError)) {
				t.Error("x509's error is not reachable")
			}
		})
	}
	f := mustNew(t, tlsfiles.Options{})
	if err := errors.New("boom"); f.Explain(err) != err || f.Explain(nil) != nil {
		t.Error("an error that is not about TLS was changed")
	}
}

func TestNamesAndAddressesAreVerified(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serve(t, ca.issue(t), nil)
	caFile := write(t, t.TempDir(), "ca.crt", certPEM(ca.cert))
	for _, row := range []struct {
		mode         tlsfiles.Mode
		told, dialed string // to Config, and what the client fills in
		accepted     bool
	}{
		{tlsfiles.VerifyFull, "localhost", "", true},
		{tlsfiles.VerifyFull, "127.0.0.1", "", true},
		{tlsfiles.VerifyFull, "[127.0.0.1]", "", true},
		{tlsfiles.VerifyFull, "127.0.0.2", "", false},
		{tlsfiles.VerifyFull, "redis.example.com", "", false},
		{tlsfiles.VerifyFull, "", "localhost", true},
		{tlsfiles.VerifyFull, "", "redis.example.com", false},
		{tlsfiles.VerifyFull, "", "127.0.0.1", false}, // cannot be seen in a handshake
		{tlsfiles.VerifyFull, "redis.example.com", "localhost", false},
		{tlsfiles.VerifyCA, "", "redis.example.com", true},
		{tlsfiles.VerifyCA, "redis.example.com", "", true},
	} {
		config := mustNew(t, tlsfiles.Options{CAFile: caFile, Mode: row.mode}).Config(row.told)
		if row.dialed != "" {
			config = config.Clone()
			config.ServerName = row.dialed
		}
		if err := s.greet(t.Context(), config); row.accepted != (err == nil) {
			t.Errorf("%s, told %q, dialled %q: got %v; want accepted = %v", row.mode, row.told, row.dialed, err, row.accepted)
		}
	}
}

// A resumed session is verified like a new one, by the roots of now.
func TestResumedSessionIsVerifiedAnew(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
		s := serve(t, ca.issue(t), nil)
		s.config.Load().MaxVersion = version
		dir := t.TempDir()
		config := mustNew(t, tlsfiles.Options{CAFile: write(t, dir, "ca.crt", certPEM(ca.cert))}).Config("localhost")
		config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		resumed := false
		verify := config.VerifyConnection
		config.VerifyConnection = func(state tls.ConnectionState) error {
			resumed = state.DidResume
			return verify(state)
		}
		for range 2 {
			if err := s.greet(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		}
		if !resumed {
			t.Fatal("the second session was not a resumed one")
		}
		write(t, dir, "ca.crt", certPEM(other.cert))
		resumed = false
		if err := s.greet(t.Context(), config); !errors.As(err, new(x509.UnknownAuthorityError)) || !resumed {
			t.Errorf("%s: got %v, resumed = %v; want the resumed session refused", tls.VersionName(version), err, resumed)
		}
	}
}

// Nothing is verified only where code has said so; it is logged as a warning.
func TestUnverifiedNeedsCodeThatSaysSo(t *testing.T) {
	s := serve(t, newAuthority(t, "ca").issue(t), nil)
	for _, mode := range []tlsfiles.Mode{"none", "require", "CERT_NONE"} {
		log := &logged{}
		f := mustNew(t, tlsfiles.Options{Mode: mode, AllowUnverified: true, Logger: log.logger()})
		if err := s.greet(t.Context(), f.Config("redis.example.com")); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		if line := log.Take(); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "the server is not verified") {
			t.Errorf("got %q", line)
		}
	}
}

// As in libpq, a file of authorities makes more of require, whatever else code allows.
func TestRequireWithAFileOfAuthoritiesVerifies(t *testing.T) {
	ca := newAuthority(t, "ca")
	file := write(t, t.TempDir(), "ca.crt", certPEM(ca.cert))
	right, wrong := serve(t, ca.issue(t), nil), serve(t, newAuthority(t, "other").issue(t), nil)
	for _, allowed := range []bool{false, true} {
		config := mustNew(t, tlsfiles.Options{Mode: tlsfiles.Require, CAFile: file, AllowUnverified: allowed}).Config("redis.example.com")
		if err := right.greet(t.Context(), config); err != nil {
			t.Errorf("AllowUnverified = %v: %v", allowed, err)
		}
		if err := wrong.greet(t.Context(), config); !errors.As(err, new(x509.UnknownAuthorityError)) {
			t.Errorf("AllowUnverified = %v: got %v; want the authority refused", allowed, err)
		}
	}
}

func TestLineSaysWhatStandsOnceForEachCombination(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serve(t, ca.issue(t), nil)
	log := &logged{}
	config := mustNew(t, tlsfiles.Options{CAFile: write(t, t.TempDir(), "ca.crt", certPEM(ca.cert)), Logger: log.logger()}).Config("localhost")
	for _, row := range []struct {
		change func()
		want   string
	}{
		{func() {}, `version="TLS 1.3" cipher=TLS_AES_128_GCM_SHA256 peer="localhost, 127.0.0.1" days_left=36`},
		{func() {}, ""},
		{func() { s.config.Load().MaxVersion = tls.VersionTLS12 }, `version="TLS 1.2" cipher=TLS_ECDHE_ECDSA_WITH_`},
		{func() {
			s.show(ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(100*day + time.Hour) }))
		}, `days_left=100`},
		{func() {}, ""},
	} {
		row.change()
		if err := s.greet(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		line := log.Take()
		if row.want == "" && line != "" || !strings.Contains(line, row.want) || line != "" && !strings.Contains(line, `level=INFO msg="azurepg: TLS: the server is verified"`) {
			t.Errorf("got %q; want %q", line, row.want)
		}
	}
}

func TestSystemsRootsAreVerifiedByCryptoTLS(t *testing.T) {
	config := mustNew(t, tlsfiles.Options{MinVersion: tls.VersionTLS13}).Config("redis.example.com")
	if config.InsecureSkipVerify || config.RootCAs != nil || config.ServerName != "redis.example.com" || config.MinVersion != tls.VersionTLS13 {
		t.Errorf("got %v, %v, %s, %x", config.InsecureSkipVerify, config.RootCAs, config.ServerName, config.MinVersion)
	}
}

// For one connection crypto/tls verifies, and shows the chains; names, roots and the
// client's pair are those of now.
func TestConfigNowShowsTheVerifiedChains(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	s := serve(t, ca.issue(t), ca)
	dir, pair := t.TempDir(), ca.issue(t)
	opts := tlsfiles.Options{CAFile: write(t, dir, "ca.crt", certPEM(ca.cert)), CertFile: write(t, dir, "tls.crt", certPEM(pair.cert)), KeyFile: write(t, dir, "tls.key", pair.keyPEM(t))}
	f := mustNew(t, opts)
	for _, name := range []string{"localhost", "127.0.0.1"} {
		conn, err := tls.Dial("tcp", s.addr, f.ConfigNow(name))
		if err != nil {
			t.Fatal(err)
		}
		if len(conn.ConnectionState().VerifiedChains) != 1 {
			t.Errorf("%s: the chains are not there", name)
		}
		_ = conn.Close()
	}
	if err := s.greet(t.Context(), f.ConfigNow("redis.example.com")); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("got %v; want another name refused", err)
	}
	before := f.ConfigNow("localhost")
	write(t, dir, "ca.crt", certPEM(other.cert))
	if err := s.greet(t.Context(), f.ConfigNow("localhost")); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("got %v; want the roots of now", err)
	}
	if err := s.greet(t.Context(), before); err != nil {
		t.Errorf("the one of before: %v", err)
	}
	opts.Mode = tlsfiles.VerifyCA
	if err := s.greet(t.Context(), mustNew(t, opts).ConfigNow("localhost")); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("verify-ca: got %v; want the authority refused", err)
	}
}
