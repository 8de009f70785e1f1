package azurepgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A standby is a server that was made by AddStandby, with what else it takes.
type standby struct {
	server   *Postgres
	dir      string
	watchdog *watchdog // of its own: a watchdog guards one server
}

// AddStandby starts a streaming standby of p: a real one, read-only, with a copy of p's
// data and a front of its own, on another port under the same certificate. Roles belong to
// the same principals there. All that can be told to p can be told to it; its faults,
// counters and limits are its own. It takes about a second, lives as long as the [Server],
// and is promoted by [Postgres.Promote].
//
// What is written on p afterwards, roles among it, is there a moment later, and lost if p
// crashes before that. A test that must not lose what was committed sets
// synchronous_standby_names to '*' on p (alter system, pg_reload_conf) and
// synchronous_commit to on in its sessions; the default here is off.
//
// It fails with a server of AZUREPG_TEST_POSTGRES, one that is stopped, and with
// PostgreSQL before version 12.
func (p *Postgres) AddStandby(ctx context.Context) (*Postgres, error) {
	if err := p.canReplicate(); err != nil {
		return nil, err
	}
	s, err := p.startStandby(ctx)
	if err != nil {
		return nil, fmt.Errorf("azurepgtest: standby: %w", err)
	}
	p.power.Lock()
	if p.running.Err() == nil {
		p.standbys = append(p.standbys, s)
		p.power.Unlock()
		return s.server, nil
	}
	p.power.Unlock()
	return nil, errors.Join(errors.New("azurepgtest: standby: the Server is closed"), s.close())
}

// Promote makes a standby a primary, as a failover does, and waits until it is one: its
// sessions stay and can write from then on. It fails on a server that is none. The old
// primary is not told: stop it before ([Postgres.Stop], [Postgres.Crash]), since both
// would take writes, and let it [Postgres.Follow] the new one.
func (p *Postgres) Promote(ctx context.Context) error {
	conn, err := p.Superuser(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var promoted bool
	if err := conn.QueryRow(ctx, "select pg_promote()").Scan(&promoted); err != nil {
		return fmt.Errorf("azurepgtest: promote: %w", err)
	}
	if !promoted {
		return errors.New("azurepgtest: promote: the server is still a standby after a minute")
	}
	return nil
}

// Follow makes p a standby of primary, as a failover makes the old primary one: p is
// stopped, loses its data for a copy of primary's, and starts on the same port. It fails
// where [Postgres.AddStandby] does; p is stopped then.
func (p *Postgres) Follow(ctx context.Context, primary *Postgres) error {
	if err := primary.canReplicate(); err != nil {
		return err
	}
	if p == primary || p.backend.process == nil {
		return errors.New("azurepgtest: follow: only a server of our own can, and no server follows itself")
	}
	if err := p.Stop(); err != nil {
		return err
	}
	if err := p.backend.process.follow(ctx, primary.backend); err != nil {
		return fmt.Errorf("azurepgtest: follow: %w", err)
	}
	return p.Start()
}

func (p *Postgres) canReplicate() error {
	if p.backend.process == nil {
		return errors.New("azurepgtest: standby: the server of AZUREPG_TEST_POSTGRES has none")
	}
	if strings.Contains(p.backend.process.socketDir, ",") {
		return errors.New("azurepgtest: standby: libpq finds no server in a directory with a comma in its name: set TMPDIR to another")
	}
	return nil
}

// startStandby starts a standby that belongs to nobody yet, or leaves nothing.
func (p *Postgres) startStandby(ctx context.Context) (_ *standby, err error) {
	s := &standby{server: newPostgres(p.cloud, p.directory, p.CAFile)}
	if s.dir, s.watchdog, err = temporaryDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.server.entra, s.server.roles = p.entra, p.roles
	process, err := newProcess(p.backend.process.bin, s.dir, s.watchdog)
	if err != nil {
		return nil, err
	}
	if err := process.follow(ctx, p.backend); err != nil {
		return nil, err
	}
	if s.server.backend, err = newBackend(process, s.dir); err != nil {
		return nil, err
	}
	if err := s.server.backend.start(ctx); err != nil {
		return nil, err
	}
	return s, s.server.openFront(ctx, p.tlsConfig().Certificates[0])
}

func (s *standby) close() error {
	err := errors.Join(s.server.close(), os.RemoveAll(s.dir))
	return errors.Join(err, s.watchdog.dismiss(err == nil))
}
