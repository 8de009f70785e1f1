package pq

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/azurepg/azurepg"
)

// open is the OpenFunc. lib/pq sees one host at a time: by itself it would go on
// to the next one after every error, with the token.
func (b *base) open(ctx context.Context, login azurepg.Login) (driver.Conn, error) {
	failed := new(connectError)
	conn, primaries := b.tryAll(ctx, login, b.hosts, b.session, failed)
	if conn == nil && len(primaries) > 0 && b.session == preferStandby && !failed.final() {
		conn, _ = b.tryAll(ctx, login, primaries, anySession, failed)
	}
	if conn == nil {
		return nil, failed
	}
	return conn, nil
}

// tryAll logs in to the first of hosts whose session is as wanted. It also returns
// those whose session was not, and adds to failed why each one is not it.
func (b *base) tryAll(ctx context.Context, login azurepg.Login, hosts []host, session string, failed *connectError) (driver.Conn, []host) {
	var other []host
	for _, h := range hosts {
		conn, sent, err := b.try(ctx, login, h, session)
		if err == nil {
			return conn, nil
		}
		failed.add(h, sent, err)
		if ctx.Err() != nil || failed.final() {
			break
		}
		if errors.Is(err, errOtherSession) {
			other = append(other, h)
		}
	}
	return nil, other
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
		err = checkSession(conn, session)
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
