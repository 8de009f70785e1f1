package azurepgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Stop shuts the server down, as a restart or a failover of Azure does, until
// [Postgres.Start]: sessions are told so (FATAL 57P01, "terminating connection due to
// administrator command") and cut, logins under way are cut, and new connections are
// refused by the kernel (ECONNREFUSED). On Linux nobody else is given the port meanwhile.
// What works past the front, such as [Postgres.Exec], [Postgres.AddRole] and the Add
// methods of [Server], fails meanwhile. Counters, roles and settings stay, and so does the
// data, but for what PostgreSQL itself forgets in a restart.
//
// The server of AZUREPG_TEST_POSTGRES itself goes on: its sessions of our clients are
// terminated, and the front is down.
//
// Stop does nothing if the server is stopped already.
func (p *Postgres) Stop() error {
	return p.stop(func() error { return p.backend.stop(p.sessionIDs()) })
}

// Crash is [Postgres.Stop] without a shutdown, as when the machine fails: what standbys
// have not been sent they do not get. Start, after it, takes as long as the recovery. The
// server of AZUREPG_TEST_POSTGRES is stopped.
func (p *Postgres) Crash() error {
	if p.backend.process == nil {
		return p.Stop()
	}
	return p.stop(func() error { return p.backend.process.stop(crashSignals) })
}

// stop closes the front and ends the server by end.
func (p *Postgres) stop(end func() error) error {
	p.power.Lock()
	defer p.power.Unlock()
	if p.listener == nil {
		return nil
	}
	p.unlisten()
	err := end()
	p.conns.wait(time.Second) // until the clients have got what the sessions said last
	p.conns.kill()
	if err != nil {
		return fmt.Errorf("azurepgtest: stop: %w", err)
	}
	return nil
}

// Start starts the server again after [Postgres.Stop] or [Postgres.Crash], on the same
// port and with the same data. It does nothing if the server is running. It fails if the
// server does not start or, elsewhere than on Linux, if someone has taken the port, and
// after [Server.Close].
func (p *Postgres) Start() error {
	p.power.Lock()
	defer p.power.Unlock()
	if p.running.Err() != nil {
		return errors.New("azurepgtest: start: the Server is closed")
	}
	if p.listener != nil {
		return nil
	}
	if err := p.backend.start(p.running); err != nil {
		return err
	}
	if err := p.listen(); err != nil {
		return errors.Join(err, p.backend.stop(nil))
	}
	return nil
}

// listen opens the front. The caller has the power.
func (p *Postgres) listen() error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)))
	if err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	logins, cut := context.WithCancel(p.running)
	accepted := make(chan struct{})
	p.listener, p.unlisten = l, func() {
		p.listener = nil
		l.Close()
		<-accepted
		cut()
	}
	go func() {
		defer close(accepted)
		p.conns.accept(gatedListener{l, &p.gate}, func(conn net.Conn) { p.serve(logins, conn) })
	}()
	return nil
}

// isDown reports whether the server is stopped or closed.
func (p *Postgres) isDown() bool {
	p.power.Lock()
	defer p.power.Unlock()
	return p.listener == nil
}
