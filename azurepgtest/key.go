package azurepgtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"sync"
)

// keyBits is the size of Entra's own signing keys.
const keyBits = 2048

// A signingKey signs JWTs with RS256.
type signingKey struct {
	*rsa.PrivateKey
	id string // kid and x5t in Entra's tokens
}

func newSigningKey() (*signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(private.N.Bytes())
	return &signingKey{private, base64.RawURLEncoding.EncodeToString(sum[:20])}, nil // 20 bytes, as the SHA-1 that Entra uses
}

// A 2048-bit key takes 0.1 s and more under the race detector, so these four are
// made once per process, when first asked for. None is a secret: they sign what is
// checked by this package alone, and what tells Servers and principals apart is the
// tenant id and the certificate.
var (
	entraKey   = sync.OnceValues(newSigningKey) // every Entra's first signing key
	forgersKey = sync.OnceValues(newSigningKey) // signs what MintOptions.Forged asks for
	clientKey  = sync.OnceValues(newSigningKey) // in every principal's certificate
	clusterKey = sync.OnceValues(newSigningKey) // the Kubernetes issuer's
)
