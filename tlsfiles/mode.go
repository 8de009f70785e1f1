package tlsfiles

import (
	"errors"
	"strings"
)

// Mode is how a server is verified. The other names that it can have are those of
// ParseMode.
type Mode string

const (
	// VerifyFull verifies that the certificate was signed by an authority that is
	// trusted and is for the name that was dialled.
	VerifyFull Mode = "verify-full"
	// VerifyCA verifies that an authority of CAFile, which it needs, has signed the
	// certificate, whatever name is in it.
	VerifyCA Mode = "verify-ca"
	// Require is VerifyCA if there is a CAFile, as in libpq, else None.
	Require Mode = "require"
	// None verifies nothing.
	None Mode = "none"
)

// ParseMode returns the Mode that s means, in upper or lower case: one of libpq's, or
// "required", "optional" and "none" as redis-py and Celery have them, also spelt
// CERT_REQUIRED or ssl.CERT_REQUIRED. "required" is VerifyFull, and so is "optional":
// Python means the same by them in a client. The empty string is VerifyFull. Anything
// else, disable and prefer of libpq among it, is an error, which does not repeat s.
func ParseMode(s string) (Mode, error) {
	switch name := strings.ToLower(strings.TrimSpace(s)); name {
	case "", "required", "cert_required", "ssl.cert_required", "optional", "cert_optional", "ssl.cert_optional":
		return VerifyFull, nil
	case "cert_none", "ssl.cert_none":
		return None, nil
	case string(VerifyFull), string(VerifyCA), string(Require), string(None):
		return Mode(name), nil
	}
	return "", errors.New("it must be verify-full (or required), verify-ca, require or none")
}
