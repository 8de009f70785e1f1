package pq

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/internal/hostlist"
)

// open is the OpenFunc. lib/pq sees one host at a time: by itself it would go on
// to the next one after every error, with the token.
func (b *base) open(ctx context.Context, login azurepg.Login) (driver.Conn, error) {
	conn, failed := hostlist.Open(ctx, b.addresses(), b.session, func(i int, session string) (driver.Conn, bool, error) {
		return b.try(ctx, login, b.hosts[i], session)
	})
	if failed != nil {
		return nil, fmt.Errorf("azurepg: failed to connect to %w", failed)
	}
	return conn, nil
}

func (b *base) addresses() []string {
	addresses := make([]string, len(b.hosts))
	for i, h := range b.hosts {
		addresses[i] = h.address
	}
	return addresses
}

// try logs in to h within the time for one attempt. It returns whether the token
// has been sent.
func (b *base) try(ctx context.Context, login azurepg.Login, h host, session string) (_ driver.Conn, sent bool, err error) {
	attempt := ctx
	if b.timeout > 0 {
		var cancel context.CancelFunc
		attempt, cancel = context.WithTimeout(ctx, b.timeout)
		defer cancel()
	}
	secure, err := login.Dial(attempt, "tcp", h.address)
	if err != nil {
		return nil, false, b.timeoutError(ctx, attempt, err)
	}
	g := newGuard(secure, string(login.Password))
	if wantsWriter(b.session) {
		g.demotion = new(demotion)
	}
	// lib/pq does not look at a context once it has dialled.
	stop := context.AfterFunc(attempt, func() { _ = secure.SetDeadline(time.Unix(1, 0)) })
	conn, err := b.logIn(login, h, g, session)
	sent = g.end()
	if !stop() && err == nil { // the deadline may have been set after the last answer
		err = attempt.Err()
	}
	if err != nil {
		_ = secure.Close()
		return nil, sent, b.timeoutError(ctx, attempt, err)
	}
	return conn, sent, nil
}

// logIn has lib/pq log in on the connection of g.
func (b *base) logIn(login azurepg.Login, h host, g *guard, session string) (driver.Conn, error) {
	cfg := b.template
	cfg.Host, cfg.Port, cfg.User = h.name, h.port, login.User
	connector, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		return nil, err
	}
	connector.Dialer(&dialer{login: g, dial: login.Dial, address: h.address})
	conn, err := connector.Connect(context.Background()) // ended by the deadline
	if g.err != nil {
		err = g.err // lib/pq may have wrapped it
	}
	if err == nil {
		err = hostlist.CheckSession(session, func(query string) (string, error) { return ask(conn, query) })
	}
	if err != nil {
		return nil, err // lib/pq's conn is a typed nil
	}
	return conn, nil
}

// timeoutError says which time limit, if one, is behind err.
func (b *base) timeoutError(ctx, attempt context.Context, err error) error {
	switch {
	case ctx.Err() != nil && context.Cause(ctx) != ctx.Err():
		return fmt.Errorf("%w: %w", ctx.Err(), context.Cause(ctx))
	case ctx.Err() != nil:
		return ctx.Err()
	case attempt.Err() != nil:
		return fmt.Errorf("no answer within %v (connect_timeout): %w", b.timeout, attempt.Err())
	}
	return err
}
