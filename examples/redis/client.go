package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/azurepg/azurepg/examples/internal/brokerenv"
	"github.com/azurepg/azurepg/examples/internal/redislogin"
	"github.com/azurepg/azurepg/tlsfiles"
	"github.com/redis/go-redis/v9"
)

// A client is one of go-redis whose connections end before their tokens do.
type client struct {
	*redis.Client
	login *redislogin.Login
	files *tlsfiles.Files
}

// connect makes a client from the environment. It fetches a token, since how long
// connections may live depends on how long tokens do, but does not dial.
func connect(ctx context.Context, logger *slog.Logger) (*client, error) {
	addr, db, err := address(os.Getenv("REDIS_URL"), os.Getenv("REDIS_ADDR"))
	if err != nil {
		return nil, err
	}
	files, err := brokerenv.TLS("REDIS_", logger)
	if err != nil {
		return nil, err
	}
	login, err := redislogin.New(ctx, logger)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(addr)
	options := &redis.Options{
		Addr:          addr,
		DB:            db,
		TLSConfig:     files.Config(host),
		PoolSize:      8,
		DialerRetries: 1, // an unknown authority is the same at the fifth try
	}
	login.Configure(options)
	return &client{redis.NewClient(options), login, files}, nil
}

// explain says what to do about an error of Redis or of TLS. Other errors it returns.
func (c *client) explain(err error) error { return c.files.Explain(redislogin.Explain(err)) }

// address returns host:port and the number of the database. Go-redis's ParseURL is not
// used: its options can turn verification off, and its errors repeat what they refuse.
func address(rawURL, addr string) (string, int, error) {
	switch {
	case rawURL == "" && addr == "":
		return "", 0, errors.New("REDIS_ADDR is missing: set it to host:port, or REDIS_URL to rediss://host:port")
	case rawURL != "" && addr != "":
		return "", 0, errors.New("REDIS_ADDR and REDIS_URL are both set: unset one")
	case rawURL == "":
		return withPort("REDIS_ADDR", addr, 0)
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil || u.Host == "":
		return "", 0, errors.New("REDIS_URL is no URL: it must be rediss://host:port/database")
	case u.Scheme != "rediss":
		return "", 0, errors.New("REDIS_URL must begin with rediss://: a token is sent through TLS only")
	case u.User != nil:
		return "", 0, errors.New("REDIS_URL must have no user and no password: the token is the password, and says who the user is")
	case u.RawQuery != "":
		return "", 0, errors.New("REDIS_URL must have no options: those of TLS are the variables REDIS_TLS_*")
	}
	db, err := 0, error(nil)
	if path := strings.Trim(u.Path, "/"); path != "" {
		if db, err = strconv.Atoi(path); err != nil || db < 0 {
			return "", 0, errors.New("REDIS_URL must end in the number of a database, or in none")
		}
	}
	return withPort("REDIS_URL", u.Host, db)
}

// withPort adds the port of Azure Cache for Redis where there is none.
func withPort(name, addr string, db int) (string, int, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil { // no port, or nothing at all
		host, port = strings.Trim(addr, "[]"), "6380"
	}
	if host == "" || port == "" {
		return "", 0, fmt.Errorf("%s must be host:port", name)
	}
	return net.JoinHostPort(host, port), db, nil
}
