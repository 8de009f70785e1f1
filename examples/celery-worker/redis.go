package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/azurepg/azurepg/examples/internal/redislogin"
)

// openRedis makes a client that logs in with the URL's user and password or, if there are
// none, with Entra tokens, as in examples/redis.
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
	login, err := redislogin.New(ctx, logger)
	if err != nil {
		return nil, err
	}
	login.Configure(options)
	return redis.NewClient(options), nil
}
