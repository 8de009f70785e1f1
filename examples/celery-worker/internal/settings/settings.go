// Package settings reads the worker's settings from the environment, under the names that
// Celery applications on Azure have for them.
package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/broker"
	"github.com/azurepg/azurepg/examples/internal/brokerenv"
)

// Settings of a worker.
type Settings struct {
	Broker      *url.URL // rediss or amqps
	Results     *url.URL // rediss; nil: a database
	ResultsDSN  string   // of azurepg, if Results is nil; it may hold a secret
	Queue       string
	Node        string
	Concurrency int
	Visibility  time.Duration // of Redis
}

// Read reads the environment. Its errors name the variable and never its value.
func Read(getenv func(string) string) (*Settings, error) {
	s := &Settings{Queue: cmp.Or(getenv("CELERY_QUEUE"), broker.DefaultQueue)}
	var err error
	if s.Broker, err = brokerURL("CELERY_BROKER_URL", getenv("CELERY_BROKER_URL"), "rediss", "amqps"); err != nil {
		return nil, err
	}
	if err := s.readResults(getenv); err != nil {
		return nil, err
	}
	if s.Node = getenv("CELERY_NODE"); s.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("CELERY_NODE is not set, and the host's name not known: %w", err)
		}
		s.Node = "go@" + host
	}
	if s.Concurrency, err = positive("CELERY_CONCURRENCY", getenv("CELERY_CONCURRENCY"), runtime.GOMAXPROCS(0)); err != nil {
		return nil, err
	}
	visibility, err := positive("CELERY_VISIBILITY_TIMEOUT", getenv("CELERY_VISIBILITY_TIMEOUT"), int(broker.DefaultVisibilityTimeout.Seconds()))
	s.Visibility = time.Duration(visibility) * time.Second
	return s, err
}

func (s *Settings) readResults(getenv func(string) string) (err error) {
	const name = "CELERY_RESULT_BACKEND"
	value := getenv(name)
	switch {
	case value == "":
		s.ResultsDSN, err = databaseDSN(getenv)
	case strings.HasPrefix(value, "redis"):
		s.Results, err = brokerURL(name, value, "rediss")
	default:
		if _, err = azurepg.ParseDSN(value); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		s.ResultsDSN = value
	}
	return err
}

func brokerURL(name, value string, schemes ...string) (*url.URL, error) {
	if value == "" {
		return nil, errors.New(name + " is not set")
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		return nil, errors.New(name + " is no URL with a host") // url.Error repeats it
	}
	for _, scheme := range schemes {
		if u.Scheme == scheme {
			return u, nil
		}
	}
	return nil, fmt.Errorf("%s must begin with %s://: passwords and tokens go through TLS only", name, strings.Join(schemes, ":// or "))
}

func positive(name, value string, otherwise int) (int, error) {
	if value == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, errors.New(name + " must be a whole number from 1")
	}
	return n, nil
}

// Show prints the settings that are set, with what is secret in them masked.
func Show(out io.Writer) {
	brokerenv.Show(out, slices.Concat(
		[]string{"CELERY_BROKER_URL", "CELERY_QUEUE", "CELERY_NODE", "CELERY_CONCURRENCY", "CELERY_VISIBILITY_TIMEOUT"},
		brokerenv.TLSNames("REDIS_"), brokerenv.TLSNames("RABBITMQ_"),
		[]string{"CELERY_RESULT_BACKEND", "CELERY_RESULTS_DB_BACKEND", "DB_HOST", "DB_PORT", "DB_NAME", "AZURE_SERVICE_PRINCIPAL_USER"},
	)...)
}
