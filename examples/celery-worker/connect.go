package main

import (
	"context"
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
	if s.Broker.Scheme == "rediss" {
		client, err := openRedis(ctx, "CELERY_BROKER_URL", s.Broker, s.Concurrency, logger)
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

func openResults(ctx context.Context, s *settings.Settings, logger *slog.Logger) (result.Store, error) {
	if s.Results != nil {
		client, err := openRedis(ctx, "CELERY_RESULT_BACKEND", s.Results, s.Concurrency, logger)
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
func amqpDialer(u *url.URL, logger *slog.Logger) (func() (*amqp.Connection, error), error) {
	tlsConfig, err := tlsConfig("RABBITMQ_", "CELERY_BROKER_URL", u, logger)
	if err != nil {
		return nil, err
	}
	config := amqp.Config{TLSClientConfig: tlsConfig, Dial: amqp.DefaultDial(10 * time.Second), Heartbeat: 10 * time.Second, Locale: "en_US"}
	if u.User == nil {
		if os.Getenv("RABBITMQ_TLS_CERT_FILE") == "" {
			return nil, errors.New("CELERY_BROKER_URL has no user, and RABBITMQ_TLS_CERT_FILE is not set: one of them must say who logs in")
		}
		config.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	return func() (*amqp.Connection, error) { return amqp.DialConfig(u.String(), config) }, nil
}
