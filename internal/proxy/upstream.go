package proxy

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/internal/hostlist"
)

// upstream is a connection to the server that is logged in. It is the driver.Conn of a
// base whose client is not in this process, so that the Connector does the rest:
// tokens, the second try after a refusal, advice. No statement goes through it here.
type upstream struct {
	net.Conn
	address   string // of the host, for dial
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	welcome   []byte // what the server said from AuthenticationOk to ReadyForQuery
	cancelKey []byte // in its BackendKeyData; nil: it gave none
}

var errNoStatements = errors.New("azurepg proxy: this connection is for passing bytes on")

// Prepare returns an error.
func (u *upstream) Prepare(string) (driver.Stmt, error) { return nil, errNoStatements }

// Begin returns an error.
func (u *upstream) Begin() (driver.Tx, error) { return nil, errNoStatements }

// request is what one client wants of its session. It goes through Connector.Connect,
// which knows nothing of it, as a value of the context.
type request struct {
	database string            // empty: the DSN's
	params   map[string]string // run-time parameters, which win over the DSN's
}

type requestKey struct{}

func withRequest(ctx context.Context, r request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// base is what a Config means to the proxy. It does not change once it is made.
type base struct {
	hosts    []string // addresses for Login.Dial
	database string
	params   map[string]string
	session  string        // target_session_attrs
	timeout  time.Duration // for one attempt at one host; zero or less: none
}

// newBase is an azurepg.Base. The keys for one Go driver say how that sends statements,
// which is the client's matter here: they have no effect, so that an application and
// its proxy can share a DSN.
func newBase(cfg *azurepg.Config) (azurepg.OpenFunc, error) {
	b := &base{database: cfg.Database, params: cfg.RuntimeParams, session: cfg.TargetSessionAttrs, timeout: cfg.ConnectTimeout}
	for _, h := range cfg.Hosts {
		dialled := h.Addr
		if dialled == "" {
			dialled = h.Name
		}
		b.hosts = append(b.hosts, net.JoinHostPort(dialled, strconv.Itoa(int(h.Port))))
	}
	return b.open, nil
}

// open is the OpenFunc.
func (b *base) open(ctx context.Context, l azurepg.Login) (driver.Conn, error) {
	conn, failed := hostlist.Open(ctx, b.hosts, b.session, func(i int, session string) (*upstream, bool, error) {
		return b.try(ctx, l, b.hosts[i], session)
	})
	if failed != nil {
		return nil, fmt.Errorf("no connection to %w", failed)
	}
	return conn, nil
}

// try logs in to one host within the time for one attempt. It returns whether the
// token has been sent.
func (b *base) try(ctx context.Context, l azurepg.Login, host, session string) (_ *upstream, sent bool, err error) {
	attempt := ctx
	if b.timeout > 0 {
		var cancel context.CancelFunc
		attempt, cancel = context.WithTimeout(ctx, b.timeout)
		defer cancel()
	}
	conn, err := l.Dial(attempt, "tcp", host)
	if err != nil {
		return nil, false, b.timeoutError(ctx, attempt, err)
	}
	stop := context.AfterFunc(attempt, func() { _ = conn.SetDeadline(past) })
	r, _ := ctx.Value(requestKey{}).(request)
	if r.database == "" {
		r.database = b.database
	}
	in := &login{conn: conn, token: string(l.Password)}
	err = in.run(l.User, r.database, merged(b.params, r.params))
	if err == nil {
		err = hostlist.CheckSession(session, in.ask)
	}
	if !stop() && err == nil { // the deadline may have been set after the last answer
		err = attempt.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, in.sent, b.timeoutError(ctx, attempt, err)
	}
	return &upstream{conn, host, l.Dial, in.welcome, in.cancelKey}, true, nil
}

// past is a deadline that ends every read and write at once.
var past = time.Unix(1, 0)

// timeoutError says which time limit, if one, is behind err.
func (b *base) timeoutError(ctx, attempt context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case attempt.Err() != nil:
		return fmt.Errorf("no answer within %v (connect_timeout): %w", b.timeout, attempt.Err())
	}
	return err
}
