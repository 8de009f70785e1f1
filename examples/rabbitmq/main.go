// Rabbitmq logs in to RabbitMQ with Entra tokens, or with a client certificate, by
// amqp091-go, and loses nothing while tokens end and brokers restart.
//
//	RABBITMQ_URL=amqps://rabbitmq.contoso.com RABBITMQ_SCOPE=api://rabbitmq/.default go run ./rabbitmq hello
//	RABBITMQ_URL=amqps://rabbitmq.contoso.com RABBITMQ_AUTH=external go run ./rabbitmq relay
//
// RabbitMQ's plugin rabbitmq_auth_backend_oauth2 takes a token for a password. A
// connection survives the end of its token, but may do less and less on it: so it
// gets the next token in time (UpdateSecret), and every new connection the one that is
// current then (connection.go). Nothing is lost because queues are durable and messages
// persistent, because what is not confirmed is published again, and what is not
// acknowledged delivered again; and since that happens, messages have an id by which
// the second one is known (relay.go).
//
// # Settings
//
//	RABBITMQ_URL              amqps://host:port/vhost, which has no password
//	RABBITMQ_SCOPE            of the tokens: the Application ID URI of RabbitMQ in Entra and /.default
//	RABBITMQ_AUTH             token, which is the default, or external: the client certificate
//	RABBITMQ_TLS_ENABLED      true, which is the default; nothing else will do
//	RABBITMQ_TLS_CA_CERT      file of the authorities to trust; not set: the system's
//	RABBITMQ_TLS_CERT_FILE    file of a client certificate
//	RABBITMQ_TLS_KEY_FILE     file of its key
//	RABBITMQ_TLS_VERIFY_MODE  verify-full (or required), which is the default, or verify-ca
//	AZURE_CREDENTIAL          a credential by its name in a DSN; not set: default
//
// # RabbitMQ and Entra
//
// RabbitMQ is an API in Entra: an app registration with an Application ID URI, and app roles
// that are assigned to whoever connects. Entra puts the roles into the claim roles, where
// RabbitMQ is told to look for permissions. A role's value is the Application ID URI, a
// dot, and a permission:
//
//	api://rabbitmq.configure:*/*      virtual host / name
//	api://rabbitmq.write:*/jobs.*
//	api://rabbitmq.read:*/jobs.*
//	api://rabbitmq.tag:monitoring
//
// The settings of RabbitMQ 3.10 are
//
//	auth_backends.1 = internal
//	auth_backends.2 = rabbit_auth_backend_oauth2
//	auth_oauth2.resource_server_id = api://rabbitmq
//	auth_oauth2.additional_scopes_key = roles
//	auth_oauth2.jwks_url = https://login.microsoftonline.com/TENANT/discovery/v2.0/keys
//	auth_oauth2.https.peer_verification = verify_peer
//	auth_oauth2.https.cacertfile = /etc/ssl/certs/ca-certificates.crt
//	auth_oauth2.https.hostname_verification = wildcard
//
// The resource_server_id is the token's audience. That is the Application ID URI in tokens of
// version 1.0; if the registration asks for version 2.0 it is the client id, and the
// roles begin with that. RabbitMQ's name for the user is the token's sub, which is the
// object id for applications and managed identities.
//
// For external: the plugin rabbitmq_auth_mechanism_ssl, auth_mechanisms.1 = EXTERNAL,
// ssl_cert_login_from = common_name, and a user of that name.
//
// Source: rabbitmq.com, "OAuth 2.0 Authentication Backend" and "Use Microsoft Entra ID as
// OAuth 2.0 server", read 2026-11; the plugin of Debian's RabbitMQ 3.10.8.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/internal/brokerenv"
	amqp "github.com/rabbitmq/amqp091-go"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logger := slog.New(azurepg.NewRedactHandler(slog.NewTextHandler(os.Stderr, nil)))
	if err := run(ctx, os.Args[1:], os.Stdout, logger); err != nil {
		log.Fatal("rabbitmq: ", azurepg.Redact(err.Error()))
	}
}

func run(ctx context.Context, args []string, out io.Writer, logger *slog.Logger) error {
	if len(args) != 1 || args[0] != "hello" && args[0] != "relay" {
		return errors.New("the command is missing: hello or relay")
	}
	brokerenv.Show(out, append([]string{"RABBITMQ_URL", "RABBITMQ_SCOPE", "RABBITMQ_AUTH"}, brokerenv.TLSNames("RABBITMQ_")...)...)
	b, err := newBroker(logger)
	if err != nil {
		return err
	}
	if args[0] == "hello" {
		return b.explain(hello(ctx, b, out))
	}
	return relay(ctx, b, out)
}

// hello sends a message to a queue of its own and takes it out again.
func hello(ctx context.Context, b *broker, out io.Writer) error {
	conn, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil) // named by RabbitMQ, gone with the connection
	if err != nil {
		return err
	}
	deliveries, err := ch.Consume(q.Name, "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	if err := ch.PublishWithContext(ctx, "", q.Name, false, false, amqp.Publishing{Body: []byte("Hello, RabbitMQ")}); err != nil {
		return err
	}
	select {
	case d, open := <-deliveries:
		if !open {
			return errors.New("the connection has ended")
		}
		_, err = fmt.Fprintf(out, "%s\n", d.Body)
	case <-time.After(30 * time.Second):
		err = errors.New("the message does not arrive")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return err
}
