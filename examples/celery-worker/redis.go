package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/azurepg/azurepg/examples/internal/brokerenv"
)

// redisScope is that of tokens for every Azure Redis.
const redisScope = "https://redis.azure.com/.default"

// redisAhead is how long before its end a token is replaced. Azure cuts a connection whose
// token ends, so that much is left to each; see examples/redis for all that there is to it.
const redisAhead = 20 * time.Minute

// openRedis makes a client that logs in with the URL's user and password or, if there are
// none, with Entra tokens.
func openRedis(ctx context.Context, name string, u *url.URL, config *tls.Config, concurrency int, logger *slog.Logger) (*redis.Client, error) {
	db, err := 0, error(nil)
	if path := strings.Trim(u.Path, "/"); path != "" {
		if db, err = strconv.Atoi(path); err != nil || db < 0 {
			return nil, fmt.Errorf("%s must end in the number of a database, or in none", name)
		}
	}
	port := u.Port()
	if port == "" {
		port = "6380" // of TLS, on Azure
	}
	options := &redis.Options{
		Addr: net.JoinHostPort(u.Hostname(), port), DB: db, TLSConfig: config,
		PoolSize:      concurrency + 4, // receiving, subscribed, looking after old messages, to spare
		DialerRetries: 1,               // an unknown authority is the same at the fifth try
	}
	if u.User != nil {
		options.Username = u.User.Username()
		options.Password, _ = u.User.Password()
		return redis.NewClient(options), nil
	}
	if err := useTokens(ctx, options, logger); err != nil {
		return nil, err
	}
	return redis.NewClient(options), nil
}

// useTokens fetches one, since how long connections may live depends on how long it does.
func useTokens(ctx context.Context, options *redis.Options, logger *slog.Logger) error {
	tokens, err := brokerenv.Tokens(redisScope, redisAhead, logger)
	if err != nil {
		return err
	}
	first, err := tokens.Token(ctx)
	if err != nil {
		return err
	}
	options.ConnMaxLifetime = min(redisAhead, time.Until(first.ExpiresOn)/2) / 4
	options.CredentialsProviderContext = func(ctx context.Context) (user, password string, err error) {
		token, err := tokens.Token(ctx)
		if err != nil {
			return "", "", err
		}
		user, err = objectID(token.Token)
		return user, token.Token, err
	}
	return nil
}

// objectID reads the claim oid, the user's name in Redis. Nobody trusts it: Redis compares
// it with the token.
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
