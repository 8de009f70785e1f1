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
	"github.com/azurepg/azurepg/tlsfiles"
	amqp "github.com/rabbitmq/amqp091-go"
)

// A broker is where and as whom to log in.
type broker struct {
	uri    amqp.URI
	files  *tlsfiles.Files
	tls    *tls.Config         // from files
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
	b := &broker{uri: uri, files: files, tls: files.Config(uri.Host), logger: logger}
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

// explain says what to do about a refusal of RabbitMQ or of TLS. Other errors it returns.
func (b *broker) explain(err error) error {
	var refusal *amqp.Error
	if !errors.As(err, &refusal) {
		return b.files.Explain(err)
	}
	var advice string
	switch {
	case refusal.Code == amqp.AccessRefused && isLogin(refusal):
		advice = "RabbitMQ refuses the login. With a token: is its audience RabbitMQ's auth_oauth2.resource_server_id, can RabbitMQ read " +
			"Entra's keys (auth_oauth2.jwks_url), has the identity an app role, and is auth_oauth2.additional_scopes_key roles? " +
			"With a certificate: is there a user of its common name? RabbitMQ's log says which"
	case refusal.Code == amqp.AccessRefused:
		advice = "the login was good, but the identity has no app role for this: its value is resource_server_id.permission:vhost/name"
	case refusal.Code == amqp.NotAllowed:
		advice = "the login was good, but RabbitMQ has no such virtual host, or the identity no app role for it"
	default:
		return err
	}
	text := azurepg.Redact(refusal.Reason)
	return fmt.Errorf("%s. It says %s", advice, strconv.Quote(text[:min(len(text), 200)]))
}

// isLogin tells a refused login from a refused command, both of which are 403. A broker may
// close the connection without a word, for which amqp091 has an error of its own.
func isLogin(refusal *amqp.Error) bool {
	return refusal == amqp.ErrCredentials || strings.Contains(refusal.Reason, "Login was refused")
}
