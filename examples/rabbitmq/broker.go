package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/internal/brokerenv"
	amqp "github.com/rabbitmq/amqp091-go"
)

// A broker is where and as whom to log in.
type broker struct {
	uri    amqp.URI
	tls    *tls.Config
	tokens *azurepg.TokenCache // nil: the client certificate says who it is
	logger *slog.Logger
}

// newBroker reads the environment. It neither dials nor fetches a token.
func newBroker(logger *slog.Logger) (*broker, error) {
	uri, err := parseURL(os.Getenv("RABBITMQ_URL"))
	if err != nil {
		return nil, err
	}
	files, err := brokerenv.TLS("RABBITMQ_", logger)
	if err != nil {
		return nil, err
	}
	b := &broker{uri: uri, tls: files.Config(uri.Host), logger: logger}
	switch scope := os.Getenv("RABBITMQ_SCOPE"); os.Getenv("RABBITMQ_AUTH") {
	case "", "token":
		if scope == "" {
			return nil, errors.New("RABBITMQ_SCOPE is missing: set it to the Application ID URI of RabbitMQ in Entra and /.default")
		}
		if b.tokens, err = brokerenv.Tokens(scope, 0, logger); err != nil {
			return nil, err
		}
	case "external":
		if os.Getenv("RABBITMQ_TLS_CERT_FILE") == "" {
			return nil, errors.New("RABBITMQ_TLS_CERT_FILE is missing: with RABBITMQ_AUTH=external the certificate says who the client is")
		}
	default:
		return nil, errors.New("RABBITMQ_AUTH must be token or external")
	}
	return b, nil
}

// parseURL takes what amqp091 would take but for the rest: its options can choose other
// files for TLS, and its errors repeat what they refuse.
func parseURL(s string) (amqp.URI, error) {
	if s == "" {
		return amqp.URI{}, errors.New("RABBITMQ_URL is missing: set it to amqps://host:port/vhost")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return amqp.URI{}, errors.New("RABBITMQ_URL is no URL: it must be amqps://host:port/vhost")
	case u.Scheme != "amqps":
		return amqp.URI{}, errors.New("RABBITMQ_URL must begin with amqps://: a token is sent through TLS only")
	case u.User != nil:
		return amqp.URI{}, errors.New("RABBITMQ_URL must have no user and no password: the token is the password, and says who the user is")
	case u.RawQuery != "":
		return amqp.URI{}, errors.New("RABBITMQ_URL must have no options: those of TLS are the variables RABBITMQ_TLS_*")
	}
	uri := amqp.URI{Scheme: "amqps", Host: u.Hostname(), Port: 5671, Vhost: "/"}
	if port := u.Port(); port != "" {
		if uri.Port, err = strconv.Atoi(port); err != nil || uri.Port > 65535 {
			return amqp.URI{}, errors.New("RABBITMQ_URL has a port that is none")
		}
	}
	if vhost := strings.TrimPrefix(u.Path, "/"); vhost != "" {
		uri.Vhost = vhost
	}
	return uri, nil
}

// advice is for what the broker refuses, by the code that it gives.
var advice = map[int]string{
	amqp.AccessRefused: "RabbitMQ refuses. At login: is the token's audience RabbitMQ's auth_oauth2.resource_server_id, " +
		"and can RabbitMQ read Entra's keys (jwks_url)? For a queue or an exchange: has the identity an app role with that permission, " +
		"and is auth_oauth2.additional_scopes_key roles? With a certificate: is there a user of its common name? RabbitMQ's log says more",
	amqp.NotAllowed: "RabbitMQ has no such virtual host, or the identity has no app role for it",
}

// explain says what to do about a refusal of RabbitMQ. Other errors it returns.
func explain(err error) error {
	var refusal *amqp.Error
	if !errors.As(err, &refusal) || advice[refusal.Code] == "" {
		return err
	}
	text := azurepg.Redact(refusal.Reason)
	return fmt.Errorf("%s. It says %s", advice[refusal.Code], strconv.Quote(text[:min(len(text), 200)]))
}
