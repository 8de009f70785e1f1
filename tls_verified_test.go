package azurepg

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/azurepg/azurepg/tlsfiles"
)

// What a handshake has verified is not verified once more, but only of that
// connection, and once. All else is.
func TestOnlyWhatTheHandshakeVerifiedNeedsNoSecondLook(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	const name = "example.com" // in the certificate of package httptest
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	otherFile, _ := writePair(t, dir, "other")
	trusting, distrusting := rootsIn(t, ca), rootsIn(t, otherFile)
	f := &floor{mode: sslVerifyFull, roots: trusting}
	f.configs = []*tls.Config{f.config(trusting.Config(name), Host{Name: name})}
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{server.Certificate()}}
	handshake := func() {
		t.Helper()
		f.roots = trusting
		if err := f.configs[0].VerifyConnection(state); err != nil {
			t.Fatal(err)
		}
		f.roots = distrusting // a second look would fail
	}

	handshake()
	if err := f.verify(state); err != nil {
		t.Errorf("after the handshake: %v", err)
	}
	if err := f.verify(state); err == nil {
		t.Error("the same certificates were not verified the second time")
	}
	handshake()
	other := tls.ConnectionState{PeerCertificates: slices.Clone(state.PeerCertificates)}
	if err := f.verify(other); err == nil {
		t.Error("the certificates of another connection were not verified")
	}
	handshake()
	resumed := state // a session shares its certificates with the one that it resumes
	resumed.DidResume = true
	if err := f.verify(resumed); err == nil {
		t.Error("a resumed session was not verified by itself")
	}
	refusing := f.config(distrusting.Config(name), Host{Name: name})
	if err := refusing.VerifyConnection(other); err == nil {
		t.Fatal("a certificate of an authority that is not trusted is verified")
	}
	if err := f.verify(other); err == nil {
		t.Error("what the handshake has refused is taken for verified")
	}
}

// rootsIn are the authorities in file.
func rootsIn(t *testing.T, file string) *tlsfiles.Files {
	t.Helper()
	files, err := tlsfiles.New(tlsfiles.Options{CAFile: file})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A host of Azure raises sslmode before this is asked; were that to fail, this would not.
func TestFloorOfAzureNeverDoesWithoutVerification(t *testing.T) {
	unverified := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	for azure, want := range map[bool]bool{true: false, false: true} {
		f := &floor{mode: sslRequire, azure: azure, configs: []*tls.Config{unverified}}
		if err := f.checkStatic(); want != (err == nil) || err != nil && !errors.Is(err, ErrInsecureTLS) {
			t.Errorf("azure = %v: got %v", azure, err)
		}
	}
}

// What belongs to an attempt lives as long as its connection, and the token must not.
func TestTokenIsGoneFromTheMemoryOfAnAttemptThatIsOver(t *testing.T) {
	a := new(pgxBase).newAttempt(Login{Password: "THE-TOKEN"})
	token := a.token
	a.end()
	if *token != "" || a.token != nil {
		t.Error("the token is kept")
	}
}
