package brokertest

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	amqp "github.com/rabbitmq/amqp091-go"
)

// A RabbitMQ is a rabbitmq-server of one node, with an epmd of its own.
type RabbitMQ struct {
	Addr      string // of AMQP over TLS, localhost:port
	User      string // who may do everything, and proves it by Password
	Password  string
	Authority *Authority
	Client    Pair // the client certificate of User, which EXTERNAL takes for a password

	options      RabbitMQOptions
	program      string
	dir          *directory
	held         held
	epmd, server *process
	epmdPort     string
	distPort     string
	port         string
}

// RabbitMQOptions says how a RabbitMQ differs from one that wants a client certificate,
// and a password by PLAIN or none by EXTERNAL.
type RabbitMQOptions struct {
	OAuth2   *OAuth2  // nil: no tokens
	Settings []string // lines of rabbitmq.conf, after all others
}

// OAuth2 makes a RabbitMQ take tokens for passwords, with permissions in their app roles.
type OAuth2 struct {
	Azure    *azurepgtest.Server // whose Entra signs them
	Audience string              // of the tokens: the resource server's id
}

// StartRabbitMQ starts Debian's rabbitmq-server with certificates of authority. The
// caller closes it. Nil options are the zero RabbitMQOptions.
func StartRabbitMQ(authority *Authority, options *RabbitMQOptions) (_ *RabbitMQ, err error) {
	b := &RabbitMQ{User: "brokertest", Password: rand.Text(), Authority: authority}
	if options != nil {
		b.options = *options
	}
	// The real script: the one on PATH changes to another user.
	if b.program, err = find("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server"); err != nil {
		return nil, err
	}
	if b.Client, err = authority.Client(b.User); err != nil {
		return nil, err
	}
	if b.dir, err = newDirectory(); err != nil {
		return nil, err
	}
	if err := b.startAnew(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *RabbitMQ) startAnew() (err error) {
	if b.held, err = hold(3); err != nil {
		return err
	}
	b.port, b.distPort, b.epmdPort = b.held.ports[0], b.held.ports[1], b.held.ports[2]
	b.Addr = net.JoinHostPort("localhost", b.port)
	if err := b.writeFiles(); err != nil {
		return err
	}
	return b.Start()
}

// Start starts the broker again after Crash, with what it has on disk, and waits until
// it takes logins.
func (b *RabbitMQ) Start() (err error) {
	if b.epmd == nil {
		if b.epmd, err = startEpmd(b.dir.path, b.epmdPort); err != nil {
			return err
		}
	}
	if b.server, err = start(b.dir.path, b.dir.file("log"), b.environment(), b.program); err != nil {
		return err
	}
	return b.server.answers(func() error {
		conn, err := b.dial()
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// startEpmd starts the name server of Erlang's nodes. Without it the node starts one that
// outlives it.
func startEpmd(dir, port string) (*process, error) {
	program, err := find("erlang-base", "epmd", "/usr/bin/epmd")
	if err != nil {
		return nil, err
	}
	p, err := start(dir, filepath.Join(dir, "epmd.log"), nil, program, "-port", port, "-address", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	err = p.answers(func() error {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			conn.Close()
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, p.kill())
	}
	return p, nil
}

// Crash ends the broker as kill -9 does. Start brings it back, and all that it has
// confirmed. A quorum queue needs to have been there for a second: RabbitMQ 3.10.8 does not
// find its log again otherwise, and nobody can use the queue any more.
func (b *RabbitMQ) Crash() error {
	err := b.server.kill()
	b.server = nil
	return err
}

// Close ends the broker and removes its files. It may be called more than once.
func (b *RabbitMQ) Close() error {
	if b.dir == nil {
		return nil
	}
	err := errors.Join(b.Crash(), b.epmd.kill(), b.held.release(), b.dir.close())
	b.dir = nil
	return err
}

// URL is that of amqps with user and password, neither of which needs to be its own.
func (b *RabbitMQ) URL(user, password string) string {
	return (&url.URL{Scheme: "amqps", User: url.UserPassword(user, password), Host: b.Addr, Path: "/"}).String()
}

// TLSConfig is for clients that are nothing a test is about.
func (b *RabbitMQ) TLSConfig() (*tls.Config, error) {
	certificate, err := b.Client.Load()
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: b.Authority.Pool(), Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}

// Log is what the broker has logged so far.
func (b *RabbitMQ) Log() string {
	log, _ := os.ReadFile(b.dir.file("log"))
	return string(log)
}

func (b *RabbitMQ) dial() (*amqp.Connection, error) {
	config, err := b.TLSConfig()
	if err != nil {
		return nil, err
	}
	return amqp.DialConfig(b.URL(b.User, b.Password), amqp.Config{TLSClientConfig: config, Dial: amqp.DefaultDial(10 * time.Second)})
}

// environment keeps the node away from the machine's own files, ports and names.
func (b *RabbitMQ) environment() []string {
	return []string{
		"HOME=" + b.dir.path, // of the Erlang cookie
		"ERL_EPMD_PORT=" + b.epmdPort,
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=brokertest" + b.port + "@localhost",
		"RABBITMQ_DIST_PORT=" + b.distPort,
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_CONFIG_FILE=" + b.dir.file("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + b.dir.file("advanced.config"), // there is none
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + b.dir.file("enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + b.dir.file("mnesia"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + b.dir.file("config"),
		"RABBITMQ_LOG_BASE=" + b.dir.file("logs"),
		"RABBITMQ_LOGS=-",
		"RABBITMQ_PID_FILE=" + b.dir.file("pid"),
		// The script becomes the node then, and does not stay between it and us.
		"RABBITMQ_ALLOW_INPUT=1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-noinput -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +SDio 4",
	}
}

// rabbitmqSettings have TLS as docs/tls.md says.
const rabbitmqSettings = `listeners.tcp = none
listeners.ssl.1 = 127.0.0.1:%s
ssl_options.cacertfile = %s
ssl_options.certfile = %s
ssl_options.keyfile = %s
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
ssl_options.ciphers.1 = TLS_AES_256_GCM_SHA384
ssl_options.ciphers.2 = TLS_AES_128_GCM_SHA256
ssl_options.ciphers.3 = TLS_CHACHA20_POLY1305_SHA256
ssl_options.ciphers.4 = ECDHE-ECDSA-AES256-GCM-SHA384
ssl_options.ciphers.5 = ECDHE-ECDSA-AES128-GCM-SHA256
ssl_options.ciphers.6 = ECDHE-RSA-AES256-GCM-SHA384
ssl_options.ciphers.7 = ECDHE-RSA-AES128-GCM-SHA256
auth_mechanisms.1 = EXTERNAL
auth_mechanisms.2 = PLAIN
ssl_cert_login_from = common_name
auth_backends.1 = internal
load_definitions = %s
log.console.level = info
disk_free_limit.absolute = 1MB
`

// oauth2Settings are those of Debian's RabbitMQ 3.10. With "wildcard", which the
// certificates of the real Entra need, it compares names and no IP addresses.
const oauth2Settings = `auth_backends.2 = rabbit_auth_backend_oauth2
auth_oauth2.resource_server_id = %s
auth_oauth2.additional_scopes_key = roles
auth_oauth2.jwks_url = %s
auth_oauth2.https.cacertfile = %s
auth_oauth2.https.peer_verification = verify_peer
auth_oauth2.https.hostname_verification = wildcard
`

func (b *RabbitMQ) writeFiles() error {
	server, err := b.Authority.Server()
	if err != nil {
		return err
	}
	definitions, err := json.Marshal(map[string]any{
		"vhosts":      []map[string]any{{"name": "/"}},
		"users":       []map[string]any{{"name": b.User, "password": b.Password, "tags": "administrator"}},
		"permissions": []map[string]any{{"user": b.User, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}},
	})
	if err != nil {
		return err
	}
	plugins := "[rabbitmq_auth_mechanism_ssl].\n"
	settings := fmt.Sprintf(rabbitmqSettings, b.port, b.Authority.CAFile, server.CertFile, server.KeyFile, b.dir.file("definitions.json"))
	if o := b.options.OAuth2; o != nil {
		plugins = "[rabbitmq_auth_mechanism_ssl,rabbitmq_auth_backend_oauth2].\n"
		keys := strings.Replace(KeysURL(o.Azure), "127.0.0.1", "localhost", 1)
		settings += fmt.Sprintf(oauth2Settings, o.Audience, keys, o.Azure.Entra.CAFile)
	}
	for name, content := range map[string]string{
		"definitions.json": string(definitions),
		"enabled_plugins":  plugins,
		"rabbitmq.conf":    settings + strings.Join(b.options.Settings, "\n") + "\n",
	} {
		if _, err := b.dir.write(name, content); err != nil {
			return err
		}
	}
	return nil
}
