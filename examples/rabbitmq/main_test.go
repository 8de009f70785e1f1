package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/brokertest"
	"github.com/azurepg/azurepg/examples/internal/child"
	amqp "github.com/rabbitmq/amqp091-go"
)

// api is RabbitMQ's Application ID URI.
const api = "https://rabbitmq.contoso.com"

// everything are the app roles that allow all that RabbitMQ has to allow.
var everything = []string{api + ".configure:*/*", api + ".write:*/*", api + ".read:*/*"}

// servers are what the tests share.
type servers struct {
	azure     *azurepgtest.Server
	authority *brokertest.Authority
	rabbitmq  *brokertest.RabbitMQ
}

var (
	start   = sync.OnceValues(startServers)
	started servers
)

func startServers() (s *servers, err error) {
	s = &started
	if s.azure, err = azurepgtest.New(&azurepgtest.Options{NoPostgres: true}); err != nil {
		return nil, err
	}
	if s.authority, err = brokertest.NewAuthority(); err != nil {
		return nil, err
	}
	s.rabbitmq, err = brokertest.StartRabbitMQ(s.authority, &brokertest.RabbitMQOptions{OAuth2: &brokertest.OAuth2{
		Azure: s.azure, Audience: api,
	}})
	return s, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := started.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func (s *servers) close() (err error) {
	if s.rabbitmq != nil {
		err = errors.Join(err, s.rabbitmq.Close())
	}
	if s.authority != nil {
		err = errors.Join(err, s.authority.Close())
	}
	if s.azure != nil {
		err = errors.Join(err, s.azure.Close())
	}
	return err
}

// A program is a new service principal with app roles of RabbitMQ, and all that is
// printed on its behalf, which must hold no secret when the test ends.
type program struct {
	*servers
	principal *azurepgtest.Principal
	output    *child.Output
	logger    *slog.Logger
}

// newProgram sets the environment.
func newProgram(t *testing.T, roles ...string) *program {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	s.azure.Entra.SetLifetime(time.Hour)
	output := new(child.Output)
	p := &program{s, s.azure.AddServicePrincipal(t.Name()), output, slog.New(slog.NewTextHandler(output, nil))}
	s.azure.AssignRoles(p.principal, api, roles...)
	for name, value := range map[string]string{
		"RABBITMQ_URL": "amqps://" + s.rabbitmq.Addr, "RABBITMQ_SCOPE": api + "/.default", "RABBITMQ_AUTH": "",
		"RABBITMQ_TLS_CA_CERT":   s.authority.CAFile,
		"RABBITMQ_TLS_CERT_FILE": s.rabbitmq.Client.CertFile, "RABBITMQ_TLS_KEY_FILE": s.rabbitmq.Client.KeyFile,
		"AZURE_CREDENTIAL": "client_secret", "AZURE_TENANT_ID": p.principal.TenantID,
		"AZURE_CLIENT_ID": p.principal.ClientID, "AZURE_CLIENT_SECRET": p.principal.Secret,
	} {
		t.Setenv(name, value)
	}
	t.Cleanup(func() { brokertest.NoLeaks(t, s.azure, output.String(), s.rabbitmq.Log()) })
	return p
}

func (p *program) broker(t *testing.T) *broker {
	t.Helper()
	b, err := newBroker(p.logger)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHelloLogsInByTokenOrCertificate(t *testing.T) {
	for _, auth := range []string{"token", "external"} {
		t.Run(auth, func(t *testing.T) {
			p := newProgram(t, everything...)
			t.Setenv("RABBITMQ_AUTH", auth)
			if auth == "external" {
				t.Setenv("AZURE_CREDENTIAL", "unknown") // nobody asks for a token
			}
			if err := run(t.Context(), []string{"hello"}, p.output, p.logger); err != nil {
				t.Fatal(err)
			}
			if want := "Hello, RabbitMQ\n"; !strings.HasSuffix(p.output.String(), want) {
				t.Errorf("it printed %q; want %q at the end", p.output, want)
			}
			user := p.principal.ObjectID
			if auth == "external" {
				user = p.rabbitmq.User
			}
			want := "user '" + user + "' authenticated and granted access"
			child.Until(t, want, func() bool { return strings.Contains(p.rabbitmq.Log(), want) })
		})
	}
}

func TestBothVersionsOfTLSServe(t *testing.T) {
	p := newProgram(t, everything...)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		b := p.broker(t)
		b.tls.MinVersion, b.tls.MaxVersion = version, version
		conn, err := b.dial(t.Context())
		if err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
			continue
		}
		if got := conn.ConnectionState().Version; got != version {
			t.Errorf("the connection has %s; want %s", tls.VersionName(got), tls.VersionName(version))
		}
		conn.Close()
	}
}

// What a connection may do ends with its token. This is what UpdateSecret is for, and
// shows that RabbitMQ looks at it.
func TestWithoutUpdateSecretRightsEndWithTheToken(t *testing.T) {
	p := newProgram(t, everything...)
	p.azure.Entra.SetLifetime(6 * time.Second) // in which a busy machine has to log in and declare
	b := p.broker(t)
	conn, err := b.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	declare := func() error {
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		_, err = ch.QueueDeclare("", false, true, true, false, nil)
		return err
	}
	if err := declare(); err != nil {
		t.Fatal(err)
	}
	token, err := b.tokens.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	child.Until(t, "the token's end", func() bool { return time.Until(token.ExpiresOn) < -2*time.Second })
	var refusal *amqp.Error
	if err := declare(); !errors.As(err, &refusal) || refusal.Code != amqp.AccessRefused {
		t.Errorf("after the token's end: %v; want 403", err)
	}
	next, err := b.tokens.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.UpdateSecret(next.Token, "test"); err != nil {
		t.Fatal(err)
	}
	if err := declare(); err != nil {
		t.Errorf("after UpdateSecret: %v", err)
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	for name, test := range map[string]struct {
		roles []string
		want  string
	}{
		"no role":           {nil, "RabbitMQ refuses the login."},
		"no right to make":  {[]string{api + ".read:*/*", api + ".write:*/*"}, "the identity has no app role for this"},
		"role without host": {[]string{api + ".read:other/*"}, "RabbitMQ has no such virtual host"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t, test.roles...)
			err := run(t.Context(), []string{"hello"}, p.output, p.logger)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want %s", err, test.want)
			}
			fmt.Fprintln(p.output, err)
		})
	}
}
