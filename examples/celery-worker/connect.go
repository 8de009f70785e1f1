package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/broker"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/result"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/settings"
)

func openBroker(ctx context.Context, s *settings.Settings, logger *slog.Logger) (broker.Broker, error) {
	const name = "CELERY_BROKER_URL"
	prefix := "RABBITMQ_"
	if s.Broker.Scheme == "rediss" {
		prefix = "REDIS_"
	}
	files, err := openTLS(prefix, name, s.Broker, logger)
	if err != nil {
		return nil, err
	}
	config := files.Config(s.Broker.Hostname())
	if s.Broker.Scheme == "rediss" {
		client, err := openRedis(ctx, name, s.Broker, config, s.Concurrency, logger)
		if err != nil {
			return nil, err
		}
		return explained{broker.NewRedis(client, s.Queue, s.Visibility, logger), files, s.Broker.User == nil}, nil
	}
	dial, err := amqpDialer(s.Broker, config)
	if err != nil {
		return nil, err
	}
	return explained{broker.NewAMQP(dial, s.Queue, logger), files, false}, nil
}

func openResults(ctx context.Context, s *settings.Settings, logger *slog.Logger) (result.Store, error) {
	if s.Results != nil {
		const name = "CELERY_RESULT_BACKEND"
		files, err := openTLS("REDIS_", name, s.Results, logger)
		if err != nil {
			return nil, err
		}
		client, err := openRedis(ctx, name, s.Results, files.Config(s.Results.Hostname()), s.Concurrency, logger)
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

// amqpDialer logs in with the URL's user and password or, if there are none, with the
// client certificate (EXTERNAL).
func amqpDialer(u *url.URL, tlsConfig *tls.Config) (func() (*amqp.Connection, error), error) {
	config := amqp.Config{TLSClientConfig: tlsConfig, Dial: amqp.DefaultDial(10 * time.Second), Heartbeat: 10 * time.Second, Locale: "en_US"}
	if u.User == nil {
		if os.Getenv("RABBITMQ_TLS_CERT_FILE") == "" {
			return nil, errors.New("CELERY_BROKER_URL has no user, and RABBITMQ_TLS_CERT_FILE is not set: one of them must say who logs in")
		}
		config.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	return func() (*amqp.Connection, error) { return amqp.DialConfig(u.String(), config) }, nil
}
