// Package redislogin logs go-redis in to Azure Redis with Entra tokens, so that no connection
// lives as long as its token.
package redislogin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/internal/brokerenv"
	"github.com/redis/go-redis/v9"
)

// scope is that of tokens for every Azure Redis.
const scope = "https://redis.azure.com/.default"

// A Login has the identity of the environment.
type Login struct {
	Lifetimes
	Tokens *azurepg.TokenCache
}

// New fetches a token, since how long connections may live depends on how long tokens do.
func New(ctx context.Context, logger *slog.Logger) (*Login, error) {
	tokens, err := brokerenv.Tokens(scope, Ahead, logger)
	if err != nil {
		return nil, err
	}
	first, err := tokens.Token(ctx)
	if err != nil {
		return nil, err
	}
	return &Login{LifetimesOf(time.Until(first.ExpiresOn)), tokens}, nil
}

// Configure has the connections of options log in with tokens and end before them.
func (l *Login) Configure(options *redis.Options) {
	options.CredentialsProviderContext, options.ConnMaxLifetime = l.Credentials, l.Connection
}

// Credentials returns the user name and password for a new connection: a token that
// outlives it, and the object id in that.
func (l *Login) Credentials(ctx context.Context) (user, password string, err error) {
	token, err := lasting(ctx, l.Tokens, l.Token)
	if err != nil {
		return "", "", err
	}
	user, err = objectID(token.Token)
	return user, token.Token, err
}

// objectID reads the claim oid. Nobody trusts it: Redis compares it with the token.
func objectID(token string) (string, error) {
	var claims struct {
		ObjectID string `json:"oid"`
	}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(payload, &claims)
		}
	}
	if claims.ObjectID == "" {
		return "", errors.New("the token has no object id (oid), which is the user name of Redis")
	}
	return claims.ObjectID, nil
}
