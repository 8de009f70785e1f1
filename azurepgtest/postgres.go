package azurepgtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/azurepg/azurepg/internal/loopback"
)

// Postgres is a real PostgreSQL behind a TLS front that asks for an access token as the
// password and checks it. Clients see the front alone: plaintext is refused, and so is
// every other way to log in, but for roles of [Postgres.AddPasswordRole].
//
// Its certificate is for localhost, 127.0.0.1 and ::1; it speaks TLS 1.2 and later
// ([Postgres.SetTLSVersions], [Postgres.SetCertificate], [Postgres.SetClientAuthority]), after an SSLRequest or directly.
type Postgres struct {
	Host   string // as in the certificate: localhost where that surely means 127.0.0.1, else 127.0.0.1
	Port   int
	CAFile string

	cloud       Cloud
	directory   *directory
	entra       *Entra // set before the first login
	roles       *roleTable
	backend     *backend
	conns       conns
	gate        gate
	releasePort func() error // nil before
	running     context.Context
	end         context.CancelFunc // of running

	power    sync.Mutex   // makes Stop, Start and close take turns, and guards all below
	listener net.Listener // nil while stopped
	unlisten func()       // closes it and cuts logins under way
	standbys []*standby

	ownCertificate tls.Certificate // set before the first login

	mu             sync.Mutex // guards all below
	tls            *tls.Config
	databases      []string              // made here
	sessions       map[*session]struct{} // open
	slots          int                   // taken by sessions, and by logins that soon are
	maxConnections int                   // 0 is no limit
	logins         int                   // accepted
	refusals       int
	lastRefusal    string
	refusalCode    string
	wording        Wording
	rejected       bool // before the password
}

// defaultRefusal is invalid_password.
const (
	defaultRefusal    = "28P01"
	pgBouncersRefusal = "08P01" // seen with PgBouncer 1.18, 1.24 and 1.26
)

func newPostgres(cloud Cloud, d *directory, caFile string) *Postgres {
	p := &Postgres{
		CAFile: caFile, cloud: cloud, directory: d,
		roles:    &roleTable{owners: make(map[string]*Principal)},
		sessions: make(map[*session]struct{}), refusalCode: defaultRefusal,
	}
	p.running, p.end = context.WithCancel(context.Background())
	return p
}

func (p *Postgres) trust(e *Entra) { p.entra = e }

// open starts the server behind and the front.
func (p *Postgres) open(ctx context.Context, dir string, w *watchdog, certificate tls.Certificate) error {
	backend, err := startBackend(ctx, dir, w)
	if err != nil {
		return err
	}
	p.backend = backend
	if err := p.allowTables(ctx, "postgres"); err != nil {
		return err
	}
	return p.openFront(ctx, certificate)
}

// openFront opens the front of a server that answers.
func (p *Postgres) openFront(ctx context.Context, certificate tls.Certificate) (err error) {
	p.Host, p.ownCertificate = loopbackName(ctx), certificate
	p.tls = &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"postgresql"},
	}
	if p.Port, p.releasePort, err = loopback.HoldPort(); err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	p.power.Lock()
	defer p.power.Unlock()
	return p.listen()
}

// close closes the standbys, stops the front, removes what was made in a server that is not ours, and stops
// one that is.
func (p *Postgres) close() error {
	p.end()
	p.power.Lock()
	defer p.power.Unlock()
	if p.listener != nil {
		p.unlisten()
	}
	p.conns.close()
	var errs []error
	for _, s := range p.standbys {
		errs = append(errs, s.close())
	}
	if p.releasePort != nil {
		errs = append(errs, p.releasePort())
	}
	if p.backend == nil {
		return errors.Join(errs...)
	}
	if p.backend.process == nil {
		p.dropDatabases(context.Background())
	}
	return errors.Join(append(errs, p.backend.stop(nil))...)
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

// SetRefusal sets the SQLSTATE with which tokens are refused; "" is the default, 28P01.
// 08P01 is that of PgBouncer, and comes with its words, which are the same for every
// reason: "password authentication failed".
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

// SetTLSVersions sets the lowest and the highest version of TLS that new connections are
// offered, as constants of crypto/tls. 0 is the default: TLS 1.2, and the highest that Go
// has. A server of [tls.VersionTLS10] to [tls.VersionTLS11] is one that is too old; with
// the lowest above the highest every handshake fails.
func (p *Postgres) SetTLSVersions(lowest, highest uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tls = p.tls.Clone() // the present one may be in use
	p.tls.MinVersion, p.tls.MaxVersion = lowest, highest
	if lowest == 0 {
		p.tls.MinVersion = tls.VersionTLS12
	}
}
