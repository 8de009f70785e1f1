package azurepgtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"time"
)

// base64URL refuses set trailing bits, so that no token has a second spelling.
var base64URL = base64.RawURLEncoding.Strict()

// A jwt is a parsed but not yet verified JSON Web Token.
type jwt struct {
	header struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		X5T       string `json:"x5t"`
		X5TS256   string `json:"x5t#S256"`
	}
	claims    map[string]any
	digest    [sha256.Size]byte // of what was signed
	signature []byte
}

// signJWT returns claims as a JWT signed by key with RS256. Fields of header come in
// addition to alg and typ.
func signJWT(key *signingKey, header, claims map[string]any) (string, error) {
	signed, err := unsignedJWT(header, claims)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.PrivateKey, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64URL.EncodeToString(signature), nil
}

// unsignedJWT returns what signJWT signs.
func unsignedJWT(header, claims map[string]any) (string, error) {
	full := map[string]any{"typ": "JWT", "alg": "RS256"}
	maps.Copy(full, header)
	h, err := json.Marshal(full)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return base64URL.EncodeToString(h) + "." + base64URL.EncodeToString(c), nil
}

var errNotJWT = errors.New("not a JSON Web Token")

func parseJWT(token string) (*jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errNotJWT
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64URL.DecodeString(part); err != nil {
			return nil, errNotJWT
		}
	}
	j := &jwt{signature: raw[2], digest: sha256.Sum256([]byte(parts[0] + "." + parts[1]))}
	if json.Unmarshal(raw[0], &j.header) != nil || json.Unmarshal(raw[1], &j.claims) != nil {
		return nil, errNotJWT
	}
	return j, nil
}

// verify checks the signature. MSAL signs with PS256, Entra and Kubernetes with RS256;
// no other algorithm is taken, least of all "none".
func (j *jwt) verify(key *rsa.PublicKey) error {
	switch j.header.Algorithm {
	case "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, j.digest[:], j.signature)
	case "PS256":
		return rsa.VerifyPSS(key, crypto.SHA256, j.digest[:], j.signature, nil)
	}
	return errors.New("unsupported algorithm")
}

// text returns the claim name, "" if it is no string.
func (j *jwt) text(name string) string {
	s, _ := j.claims[name].(string)
	return s
}

// time returns the claim name, seconds since 1970, and whether it is a number.
func (j *jwt) time(name string) (time.Time, bool) {
	seconds, ok := j.claims[name].(float64)
	return time.UnixMilli(int64(seconds * 1000)), ok
}

// isFor reports whether the token's audience, a string or a list, contains audience.
func (j *jwt) isFor(audience string) bool {
	switch aud := j.claims["aud"].(type) {
	case string:
		return strings.EqualFold(aud, audience)
	case []any:
		for _, a := range aud {
			if s, ok := a.(string); ok && strings.EqualFold(s, audience) {
				return true
			}
		}
	}
	return false
}
