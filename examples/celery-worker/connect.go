package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/broker"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/result"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/settings"
	"github.com/azurepg/azurepg/tlsfiles"
)

func openBroker(s *settings.Settings, logger *slog.Logger) (broker.Broker, error) {
	if s.Broker.Scheme == "rediss" {
		client, err := openRedis("CELERY_BROKER_URL", s.Broker, s.Concurrency, logger)
		if err != nil {
			return nil, err
		}
		return broker.NewRedis(client, s.Queue, s.Visibility, logger), nil
	}
	dial, err := amqpDialer(s.Broker, logger)
	if err != nil {
		return nil, err
	}
	return broker.NewAMQP(dial, s.Queue, logger), nil
}

func openResults(s *settings.Settings, logger *slog.Logger) (result.Store, error) {
	if s.Results != nil {
		client, err := openRedis("CELERY_RESULT_BACKEND", s.Results, s.Concurrency, logger)
		if err != nil {
			return nil, err
		}
		return result.Redis{Client: client, Expire: result.DefaultExpire}, nil
	}
	db, err := sql.Open(azurepg.DriverName, s.ResultsDSN)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(s.Concurrency)
	return result.Postgres{DB: db}, nil
}

// redisScope is that of tokens for every Azure Redis.
const redisScope = "https://redis.azure.com/.default"

// Azure cuts a connection whose token has ended. So connections get tokens that last for
// 20 minutes at least, and live for five.
const (
	redisTokenAhead   = 20 * time.Minute
	redisConnLifetime = 5 * time.Minute
)

// openRedis makes a client that logs in with the URL's password or, if there is no user
// in it, with Entra tokens of the default credential.
func openRedis(name string, u *url.URL, concurrency int, logger *slog.Logger) (*redis.Client, error) {
	db, err := 0, error(nil)
	if path := strings.Trim(u.Path, "/"); path != "" {
		if db, err = strconv.Atoi(path); err != nil || db < 0 {
			return nil, fmt.Errorf("%s must end in the number of a database, or in none", name)
		}
	}
	config, err := tlsConfig("REDIS_", name, u, logger)
	if err != nil {
		return nil, err
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
	tokens, err := (&azurepg.Config{Scope: redisScope, RefreshAhead: redisTokenAhead, Logger: logger}).TokenCache()
	if err != nil {
		return nil, err
	}
	options.ConnMaxLifetime = redisConnLifetime
	options.CredentialsProviderContext = func(ctx context.Context) (user, password string, err error) {
		token, err := tokens.Token(ctx)
		if err != nil {
			return "", "", err
		}
		user, err = objectID(token.Token)
		return user, token.Token, err
	}
	return redis.NewClient(options), nil
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

// amqpDialer logs in with the URL's user and password or, if there are none, with the
// client certificate (EXTERNAL).
func amqpDialer(u *url.URL, logger *slog.Logger) (func() (*amqp.Connection, error), error) {
	tlsConf, err := tlsConfig("RABBITMQ_", "CELERY_BROKER_URL", u, logger)
	if err != nil {
		return nil, err
	}
	config := amqp.Config{TLSClientConfig: tlsConf, Dial: amqp.DefaultDial(10 * time.Second), Heartbeat: 10 * time.Second, Locale: "en_US"}
	if u.User == nil {
		if os.Getenv("RABBITMQ_TLS_CERT_FILE") == "" {
			return nil, errors.New("CELERY_BROKER_URL has no user, and RABBITMQ_TLS_CERT_FILE is not set: one of them must say who logs in")
		}
		config.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	return func() (*amqp.Connection, error) { return amqp.DialConfig(u.String(), config) }, nil
}

// Python's names, in a URL of Redis, for what the variables say too.
var tlsParameters = map[string]func(*tlsfiles.Options) *string{
	"ssl_ca_certs":  func(o *tlsfiles.Options) *string { return &o.CAFile },
	"ssl_certfile":  func(o *tlsfiles.Options) *string { return &o.CertFile },
	"ssl_keyfile":   func(o *tlsfiles.Options) *string { return &o.KeyFile },
	"ssl_cert_reqs": func(o *tlsfiles.Options) *string { return (*string)(&o.Mode) },
}

// tlsConfig is that of the variables which begin with prefix, and of the URL's parameters
// where those say nothing. TLS cannot be turned off, nor its verification.
func tlsConfig(prefix, name string, u *url.URL, logger *slog.Logger) (*tls.Config, error) {
	switch strings.ToLower(os.Getenv(prefix + "TLS_ENABLED")) {
	case "", "true", "1", "yes", "on":
	default:
		return nil, fmt.Errorf("%sTLS_ENABLED must be true or not set: passwords and tokens go through TLS only", prefix)
	}
	options := tlsfiles.FromEnv(prefix + "TLS_")
	options.Logger = logger
	for key, values := range u.Query() {
		field, known := tlsParameters[key]
		if !known || u.Scheme != "rediss" {
			return nil, fmt.Errorf("%s: the parameter %q is not known here", name, azurepg.Redact(key))
		}
		if f := field(&options); *f == "" {
			*f = values[0]
		}
	}
	files, err := tlsfiles.New(options)
	if err != nil {
		return nil, err
	}
	return files.Config(u.Hostname()), nil
}
