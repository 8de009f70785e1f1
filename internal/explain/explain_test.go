package explain

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"testing"
)

func TestFileErrorsAreSaidWithoutTheFile(t *testing.T) {
	for want, err := range map[string]error{
		"the file does not exist":         &fs.PathError{Op: "open", Path: "SECRET", Err: fs.ErrNotExist},
		"this user may not read the file": fmt.Errorf("again: %w", &fs.PathError{Op: "open", Path: "SECRET", Err: fs.ErrPermission}),
		"the file cannot be read":         errors.New("SECRET"),
	} {
		if got := File(err); got != want {
			t.Errorf("File(%v) = %q; want %q", err, got, want)
		}
	}
}

func TestAlertsAreKnownByTheirWords(t *testing.T) {
	for alert, want := range map[string]Kind{
		"certificate required": CertMissing, "bad certificate": CertRefused, "unknown certificate authority": CertRefused, "expired certificate": CertRefused,
		"handshake failure": CertRefused, "insufficient security level": TooOld, "protocol version not supported": TooOld, "internal error": Unknown,
	} {
		remote := error(&net.OpError{Op: "remote error", Err: errors.New("tls: " + alert)})
		if got := Of(fmt.Errorf("read: %w", remote)); got != want {
			t.Errorf("%v: kind %d; want %d", remote, got, want)
		}
	}
	if local := (&net.OpError{Op: "local error", Err: errors.New("tls: bad certificate")}); Of(local) != Unknown {
		t.Error("our own alert was taken for the server's")
	}
}

func TestEveryKindHasACause(t *testing.T) {
	for kind := Authority; kind <= Refused; kind++ {
		if kind.Means() == "" {
			t.Errorf("kind %d has none", kind)
		}
	}
	if Of(nil) != Unknown || Of(errors.New("boom")) != Unknown {
		t.Error("what is no failure of TLS has a kind")
	}
}
