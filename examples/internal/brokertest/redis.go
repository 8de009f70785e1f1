package brokertest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A Redis is a redis-server that keeps nothing on disk.
type Redis struct {
	Addr      string // of TLS, localhost:port
	PlainAddr string // without TLS, where RedisOptions asks for it
	Password  string // of the user default
	Authority *Authority
	Client    Pair // a client certificate that it takes

	dir     *directory
	held    held
	process *process
	admin   *redis.Client
}

// RedisOptions says how a Redis differs from one that wants a client certificate and the
// password of its user default.
type RedisOptions struct {
	Plain    bool     // listens without TLS too, as nobody should
	ACL      []string // lines of its ACL file, such as "user reader on >word ~* +@read"
	Settings []string // lines of redis.conf
}

// redisSettings have TLS as docs/tls.md says.
const redisSettings = `bind 127.0.0.1
port %s
tls-port %s
tls-cert-file "%s"
tls-key-file "%s"
tls-ca-cert-file "%s"
tls-auth-clients yes
tls-protocols "TLSv1.2 TLSv1.3"
tls-ciphersuites TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256
tls-ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256
aclfile "%s"
dir "%s"
maxmemory-policy noeviction
save ""
appendonly no
daemonize no
`

// StartRedis starts Debian's redis-server with certificates of authority. The caller
// closes it. Nil options are the zero RedisOptions.
func StartRedis(authority *Authority, options *RedisOptions) (_ *Redis, err error) {
	if options == nil {
		options = new(RedisOptions)
	}
	program, err := find("redis-server", "redis-server", "/usr/bin/redis-server")
	if err != nil {
		return nil, err
	}
	r := &Redis{Password: rand.Text(), Authority: authority}
	if r.Client, err = authority.Client("brokertest"); err != nil {
		return nil, err
	}
	if r.dir, err = newDirectory(); err != nil {
		return nil, err
	}
	if err = r.start(program, options); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Redis) start(program string, options *RedisOptions) error {
	var err error
	if r.held, err = hold(2); err != nil {
		return err
	}
	ports := r.held.ports
	r.Addr = net.JoinHostPort("localhost", ports[0])
	if options.Plain {
		r.PlainAddr = net.JoinHostPort("localhost", ports[1])
	} else {
		ports[1] = "0"
	}
	server, err := r.Authority.Server()
	if err != nil {
		return err
	}
	acl := append([]string{"user default on >" + r.Password + " ~* &* +@all"}, options.ACL...)
	users, err := r.dir.write("users.acl", strings.Join(acl, "\n")+"\n")
	if err != nil {
		return err
	}
	settings := fmt.Sprintf(redisSettings, ports[1], ports[0], server.CertFile, server.KeyFile, r.Authority.CAFile, users, r.dir.path)
	file, err := r.dir.write("redis.conf", settings+strings.Join(options.Settings, "\n")+"\n")
	if err != nil {
		return err
	}
	if r.process, err = start(r.dir.path, r.dir.file("log"), nil, program, file); err != nil {
		return err
	}
	config, err := r.TLSConfig()
	if err != nil {
		return err
	}
	r.admin = redis.NewClient(&redis.Options{Addr: r.Addr, Username: "default", Password: r.Password, TLSConfig: config,
		DialerRetries: 1, MaxRetries: -1})
	return r.process.answers(func() error {
		conn, err := tls.Dial("tcp", r.Addr, config) // go-redis would log that nobody listens yet
		if err != nil {
			return err
		}
		conn.Close()
		return r.admin.Ping(context.Background()).Err()
	})
}

// TLSConfig is for clients of the Redis that are nothing a test is about.
func (r *Redis) TLSConfig() (*tls.Config, error) {
	certificate, err := r.Client.Load()
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: r.Authority.Pool(), Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}

// CeleryURL is the Redis as Celery's settings name a broker or a result backend, with the
// user default, certificates, and the number of a database. It holds the password.
func (r *Redis) CeleryURL(db int) string {
	q := url.Values{"ssl_cert_reqs": {"required"}, "ssl_ca_certs": {r.Authority.CAFile}, "ssl_certfile": {r.Client.CertFile}, "ssl_keyfile": {r.Client.KeyFile}}
	u := url.URL{Scheme: "rediss", User: url.UserPassword("default", r.Password), Host: r.Addr, Path: "/" + strconv.Itoa(db), RawQuery: q.Encode()}
	return u.String()
}

// Admin is a client of the user default, to set up and look at.
func (r *Redis) Admin() *redis.Client { return r.admin }

// Close ends the server and removes its files. It may be called more than once.
func (r *Redis) Close() error {
	if r.dir == nil {
		return nil
	}
	if r.admin != nil {
		_ = r.admin.Close()
	}
	err := errors.Join(r.process.kill(), r.held.release(), r.dir.close())
	r.dir = nil
	return err
}
