package brokertest

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/golang-jwt/jwt/v5"
)

// redisAudience is that of tokens for every Azure Redis.
const redisAudience = "https://redis.azure.com"

// A verifier knows good tokens by the keys that Entra publishes.
type verifier struct {
	keysURL string
	client  *http.Client
	parser  *jwt.Parser
}

func newVerifier(azure *azurepgtest.Server) *verifier {
	entra := azure.Entra
	return &verifier{
		keysURL: KeysURL(azure),
		client:  entra.Transport(),
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(redisAudience),
			jwt.WithIssuer("https://sts.windows.net/"+entra.TenantID+"/"), jwt.WithExpirationRequired()),
	}
}

// KeysURL is where azure's Entra publishes the keys that it signs with.
func KeysURL(azure *azurepgtest.Server) string {
	return azure.Entra.URL + "/" + azure.Entra.TenantID + "/discovery/v2.0/keys"
}

// verify returns the end of a token that lets its bearer log in as user.
func (v *verifier) verify(user, token string) (time.Time, error) {
	var claims struct {
		jwt.RegisteredClaims
		ObjectID string `json:"oid"`
	}
	if _, err := v.parser.ParseWithClaims(token, &claims, v.key); err != nil {
		return time.Time{}, err // quotes nothing of the token
	}
	if claims.ObjectID != user {
		return time.Time{}, errors.New("the user is not the token's object id")
	}
	return claims.ExpiresAt.Time, nil
}

// key asks for the keys each time, so that a rotation is seen at once.
func (v *verifier) key(token *jwt.Token) (any, error) {
	response, err := v.client.Get(v.keysURL)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var set struct {
		Keys []struct {
			ID       string `json:"kid"`
			Modulus  string `json:"n"`
			Exponent string `json:"e"`
		} `json:"keys"`
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	for _, k := range set.Keys {
		if k.ID != token.Header["kid"] {
			continue
		}
		n, err1 := base64.RawURLEncoding.DecodeString(k.Modulus)
		e, err2 := base64.RawURLEncoding.DecodeString(k.Exponent)
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, errors.Join(err1, err2)
	}
	return nil, errors.New("signed by an unknown key")
}
