package azurepgtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Postgres is a real PostgreSQL behind a TLS front that asks for an access token as the
// password and checks it. Clients see the front alone: plaintext is refused, and so is
// every other way to log in.
//
// Its certificate is for localhost, 127.0.0.1 and ::1; it speaks TLS 1.2 and later, after
// an SSLRequest or directly.
type Postgres struct {
	Host   string // as in the certificate: localhost where that surely means 127.0.0.1, else 127.0.0.1
	Port   int
	CAFile string

	cloud     Cloud
	directory *directory
	entra     *Entra // set before the first login
	backend   *backend
	tls       *tls.Config
	listener  net.Listener
	accepted  chan struct{} // closed when the listener is no longer listened to
	conns     conns
	stop      context.CancelFunc // of logins under way
	running   context.Context

	mu          sync.Mutex // guards all below
	roles       map[string]*Principal
	databases   []string // made by CreateDatabase
	sessions    int      // open
	logins      int      // accepted
	refusals    int
	lastRefusal string
	refusalCode string
	wording     Wording
	rejected    bool // before the password
}

// defaultRefusal is invalid_password.
const defaultRefusal = "28P01"

func newPostgres(cloud Cloud, d *directory, caFile string) *Postgres {
	p := &Postgres{
		CAFile: caFile, cloud: cloud, directory: d,
		roles: make(map[string]*Principal), refusalCode: defaultRefusal,
	}
	p.running, p.stop = context.WithCancel(context.Background())
	return p
}

func (p *Postgres) trust(e *Entra) { p.entra = e }

// start starts the server behind and the front.
func (p *Postgres) start(ctx context.Context, dir string, certificate tls.Certificate) error {
	backend, err := startBackend(ctx, dir)
	if err != nil {
		return err
	}
	p.backend = backend
	if err := p.allowTables(ctx, "postgres"); err != nil {
		return err
	}
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	p.Host = loopbackName(ctx)
	p.Port = p.listener.Addr().(*net.TCPAddr).Port
	p.tls = &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"postgresql"},
	}
	p.accepted = make(chan struct{})
	go func() {
		defer close(p.accepted)
		p.conns.accept(p.listener, p.serve)
	}()
	return nil
}

// close stops the front, removes what was made in a server that is not ours, and stops
// one that is.
func (p *Postgres) close() error {
	p.stop()
	if p.listener != nil {
		p.listener.Close()
		<-p.accepted
	}
	p.conns.close()
	if p.backend == nil {
		return nil
	}
	if p.backend.process == nil {
		p.mu.Lock()
		databases := p.databases
		p.mu.Unlock()
		for _, name := range databases {
			p.Exec(context.Background(), "drop database if exists "+quote(name)+" with (force)") // best effort
		}
		return nil
	}
	return p.backend.process.stop()
}

// loopbackName returns localhost if that can only lead to the listener. Older libpq does
// not match IP addresses with certificates.
func loopbackName(ctx context.Context) string {
	addrs, err := net.DefaultResolver.LookupHost(ctx, "localhost")
	if err != nil || len(addrs) == 0 {
		return "127.0.0.1"
	}
	for _, a := range addrs {
		if a != "127.0.0.1" {
			return "127.0.0.1"
		}
	}
	return "localhost"
}

// Addr returns Host and Port as host:port.
func (p *Postgres) Addr() string { return net.JoinHostPort(p.Host, fmt.Sprint(p.Port)) }

// AddRole makes the role name and maps it to principal, in place of the one it was
// mapped to before. The Add methods of [Server] have done it for the principal's own
// name.
func (p *Postgres) AddRole(ctx context.Context, name string, principal *Principal) error {
	if len(name) == 0 || len(name) > 63 {
		return fmt.Errorf("azurepgtest: role %q: PostgreSQL's names have 1 to 63 bytes", name)
	}
	if name == p.backend.superuser() {
		return fmt.Errorf("azurepgtest: role %q is the superuser's", name)
	}
	if err := p.backend.createRole(ctx, name); err != nil {
		return fmt.Errorf("azurepgtest: role %q: %w", name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.roles[name] = principal
	return nil
}

// CreateDatabase makes an empty database in which every role may create tables.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	if err := p.Exec(ctx, "create database "+quote(name)); err != nil {
		return err
	}
	p.mu.Lock()
	p.databases = append(p.databases, name)
	p.mu.Unlock()
	return p.allowTables(ctx, name)
}

// allowTables gives all roles what PostgreSQL 15 took from them.
func (p *Postgres) allowTables(ctx context.Context, database string) error {
	conn, err := p.superuser(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "grant create on schema public to public"); err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	return nil
}

// Superuser opens a connection to database postgres as superuser, past the front. The
// caller closes it.
func (p *Postgres) Superuser(ctx context.Context) (*pgx.Conn, error) {
	return p.superuser(ctx, "postgres")
}

func (p *Postgres) superuser(ctx context.Context, database string) (*pgx.Conn, error) {
	conn, err := p.backend.superuserConn(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("azurepgtest: connect as superuser: %w", err)
	}
	return conn, nil
}

// Exec executes sql as superuser in database postgres.
func (p *Postgres) Exec(ctx context.Context, sql string, args ...any) error {
	conn, err := p.Superuser(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	return nil
}

// Logins returns how many logins have been accepted.
func (p *Postgres) Logins() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logins
}

// Refusals returns how many logins have been refused, for whatever reason.
func (p *Postgres) Refusals() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusals
}

// LastRefusal returns why the latest login was refused, plainer than the client was
// told; "" if none was. It holds no part of a token.
func (p *Postgres) LastRefusal() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastRefusal
}

// Connections returns how many sessions are open, logins under way not among them.
func (p *Postgres) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions
}

// KillConnections resets all client connections, as a failover does, and returns how
// many there were.
func (p *Postgres) KillConnections() int { return p.conns.kill() }

// SetRefusal sets the SQLSTATE with which tokens are refused; "" is the default, 28P01.
func (p *Postgres) SetRefusal(sqlstate string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusalCode = sqlstate
	if sqlstate == "" {
		p.refusalCode = defaultRefusal
	}
}

// RejectBefore says whether to refuse all logins before the password is asked for, as a
// line of pg_hba.conf or a firewall rule of Azure does.
func (p *Postgres) RejectBefore(reject bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rejected = reject
}

func quote(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }
