package azurepg

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

type attemptKey struct{}

// attempt is one login by pgx, at one host after another. It gives pgx the
// password when TLS stands and takes it back as soon as it has been sent.
// pgx calls its hooks one after the other, so it needs no lock.
type attempt struct {
	base  *pgxBase
	user  string
	token Secret

	config  *pgconn.Config // the one that holds the password now; nil: none
	w       io.Writer      // pgx's connection; it is watched until the login is over
	sent    bool           // a password message has left
	refused bool           // the server refused this login: no other host gets the token
	over    bool

	watch     bool   // watch the connection's end too; open does not need that
	onRefused func() // may be nil
	onSuccess func() // may be nil
	hooks     hooks
}

// hooks are the user's hooks in pgx's config, called after ours.
type hooks struct {
	dial            pgconn.DialFunc
	afterNetConnect func(context.Context, *pgconn.Config, net.Conn) (net.Conn, error)
	buildFrontend   pgconn.BuildFrontendFunc
	onPgError       pgconn.PgErrorHandler
	validateConnect pgconn.ValidateConnectFunc
	afterConnect    pgconn.AfterConnectFunc
}

// arm makes cc log in with a. cc is pgx's copy for one connect.
func (a *attempt) arm(cc *pgx.ConnConfig) {
	a.base.claim(cc, a.user)
	a.hooks = hooks{cc.DialFunc, cc.AfterNetConnect, cc.BuildFrontend, cc.OnPgError, cc.ValidateConnect, cc.AfterConnect}
	cc.DialFunc = a.dial
	cc.AfterNetConnect = a.afterNetConnect
	cc.BuildFrontend = a.buildFrontend
	cc.OnPgError = a.onPgError
	cc.ValidateConnect = a.validateConnect
	cc.AfterConnect = a.afterConnect
}

var errOtherHost = errors.New("not asked: another host has refused the login")

// dial is also pgx's way to cancel a query, long after the login.
func (a *attempt) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if a.refused && !a.over {
		return nil, errOtherHost
	}
	if !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("%w: a unix socket cannot do TLS", ErrInsecureTLS)
	}
	conn, err := a.hooks.dial(ctx, network, address)
	if err == nil && a.watch && !a.over {
		conn = &watchedConn{Conn: conn, attempt: a}
	}
	return conn, err
}

// afterNetConnect runs when TLS has been agreed on and before the start-up
// packet. It must return a connection even with an error: pgx closes it.
func (a *attempt) afterNetConnect(ctx context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return conn, fmt.Errorf("%w: this connection has none", ErrInsecureTLS)
	}
	if err := a.base.floor.handshake(ctx, secure); err != nil {
		return conn, err
	}
	if hook := a.hooks.afterNetConnect; hook != nil {
		other, err := hook(ctx, config, conn)
		if other == nil {
			other = conn
		}
		if conn = other; err != nil {
			return conn, err
		}
	}
	config.Password, a.config = string(a.token), config
	return conn, nil
}

// buildFrontend puts the attempt between pgx and its connection, to see the
// password leave.
func (a *attempt) buildFrontend(r io.Reader, w io.Writer) *pgproto3.Frontend {
	a.w = w
	return a.hooks.buildFrontend(r, a)
}

// Write passes on what pgx sends. A message that begins with 'p' is the answer
// to a request for a password.
func (a *attempt) Write(p []byte) (int, error) {
	if !a.over && len(p) > 0 && p[0] == 'p' {
		a.sent = true
		a.clear()
	}
	return a.w.Write(p)
}

// clear takes the password back from pgx's config, where errors and
// connections could show it.
func (a *attempt) clear() {
	if a.config != nil {
		a.config.Password = ""
		a.config = nil
	}
}

// end forgets the token.
func (a *attempt) end() {
	a.clear()
	a.token, a.over = "", true
}

func (a *attempt) onPgError(conn *pgconn.PgConn, err *pgconn.PgError) bool {
	if !a.over {
		a.clear()
		if strings.HasPrefix(err.Code, "28") {
			a.refused = true
			if a.sent && a.onRefused != nil {
				a.onRefused()
			}
		}
	}
	return a.hooks.onPgError == nil || a.hooks.onPgError(conn, err)
}

// validateConnect runs when a host has let us in; it may still be the wrong one
// (target_session_attrs), and the next one will want the token again.
func (a *attempt) validateConnect(ctx context.Context, conn *pgconn.PgConn) error {
	a.clear()
	if a.hooks.validateConnect == nil {
		return nil
	}
	return a.hooks.validateConnect(ctx, conn)
}

func (a *attempt) afterConnect(ctx context.Context, conn *pgconn.PgConn) error {
	a.end()
	if a.onSuccess != nil {
		a.onSuccess()
	}
	if a.hooks.afterConnect == nil {
		return nil
	}
	return a.hooks.afterConnect(ctx, conn)
}

// watchedConn is the TCP connection under TLS. pgx closes it on every failure:
// then its error must not hold the password.
type watchedConn struct {
	net.Conn
	attempt *attempt
}

func (c *watchedConn) Close() error {
	if !c.attempt.over {
		c.attempt.clear()
	}
	return c.Conn.Close()
}
