package azurepg

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
)

// Base makes the function that opens connections with one PostgreSQL driver,
// the base, for a Config that NewConnector has checked and completed. It is
// called once by NewConnector, dials nothing, and returns a *DSNError for a
// setting that the base cannot honour. The Config is the Connector's own: it is
// not to be changed, and holds secrets.
type Base func(*Config) (OpenFunc, error)

// OpenFunc opens one physical connection and returns the base driver's own
// driver.Conn, or an error. It is called concurrently, and does not keep the
// Login's password.
//
// A refusal by the server is an error that is or wraps one with a method
// SQLState() string, which returns a code of class 28, or 08P01 if its text has
// PgBouncer's "password authentication failed". It is taken as a refusal of the token, unless the chain also holds an error whose method
// PasswordSent() bool returns false: then the server never asked for it.
type OpenFunc func(ctx context.Context, login Login) (driver.Conn, error)

// Login is what an OpenFunc needs to log in once.
type Login struct {
	// User is the PostgreSQL role, never empty.
	User string
	// Password is the token.
	Password Secret
	// Dial opens a TLS connection to one of the Config's hosts, verified as the
	// Config demands; address is "host:port" with the Name or the Addr of one of
	// Config.Hosts, and any other address is refused with ErrInsecureTLS. It works
	// after the login too, for cancel requests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Format writes the user alone, for every verb; see Config.Format.
func (l Login) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "azurepg.Login(%s)", quoteForeign(l.User))
}

// Connector opens connections to one database as one identity. It is a
// driver.Connector, for sql.OpenDB. There is nothing to close, and it is safe for
// concurrent use.
type Connector struct {
	cfg    *Config // immutable private copy
	driver driver.Driver
	tokens *TokenCache
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	open   OpenFunc
	pgx    *pgxBase // nil: another base

	opened, failed, refused, retried atomic.Uint64

	// hopeless: a second token was refused like the first, or there was no
	// second one. Until a login succeeds, refusals here force no more fetches: the
	// role is wrong, not the token.
	hopeless atomic.Bool
	// lastRefused is the token that BeforeConnect last saw refused.
	lastRefused atomic.Pointer[string]
}

var _ driver.Connector = (*Connector)(nil)

// Stats counts what a Connector did since it was made.
type Stats struct {
	// Opened counts the physical connections that logged in.
	Opened uint64
	// Failed counts the calls of Connect that returned an error. pgxpool does not
	// call it: its failures are not counted.
	Failed uint64
	// Refused counts the logins that the server refused.
	Refused uint64
	// Retried counts the logins tried again with a new token.
	Retried uint64
	// Tokens are the counters of the token cache, which other Connectors of
	// the same identity share.
	Tokens TokenStats
}

// NewConnector returns a Connector for cfg, which it copies. It reads certificate
// files and environment, but dials nothing and fetches no token. Its errors
// are *DSNError.
func NewConnector(cfg *Config) (*Connector, error) {
	if cfg == nil {
		return nil, &DSNError{Key: "DSN", Err: errors.New("there is no Config")}
	}
	checked, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	floor, err := newFloor(checked)
	if err != nil {
		return nil, err
	}
	c := &Connector{cfg: checked, driver: NewDriver(checked.Base), dial: floor.dial}
	if err := c.setBase(floor); err != nil {
		return nil, err
	}
	if c.tokens, err = tokenCache(checked); err != nil {
		return nil, err
	}
	if l := checked.Logger; l != nil && floor.mode == sslRequire {
		l.LogAttrs(context.Background(), slog.LevelWarn, "azurepg: sslmode=require: tokens go to a server that is not verified")
	}
	return c, nil
}

func (c *Connector) setBase(f *floor) (err error) {
	if c.cfg.Base != nil {
		if c.cfg.ConfigurePgx != nil {
			return &DSNError{Key: "ConfigurePgx", Err: errors.New("it needs the pgx base, which Config.Base has replaced")}
		}
		if c.open, err = c.cfg.Base(c.cfg); err == nil && c.open == nil {
			err = &DSNError{Key: "Base", Err: errors.New("it made no OpenFunc")}
		}
		return err
	}
	if c.pgx, err = newPgxBase(c.cfg, f); err != nil {
		return err
	}
	c.open = c.pgx.open
	return nil
}

// Format prints the number of hosts and the credential's name, for every verb.
func (c *Connector) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "azurepg.Connector(%d host(s), %v)", len(c.cfg.Hosts), c.tokens)
}

// Driver returns the Driver that c was opened by; for a Connector from code, one
// with the same base.
func (c *Connector) Driver() driver.Driver { return c.driver }

// Stats returns the counters.
func (c *Connector) Stats() Stats {
	return Stats{
		Opened: c.opened.Load(), Failed: c.failed.Load(), Refused: c.refused.Load(), Retried: c.retried.Load(),
		Tokens: c.tokens.Stats(),
	}
}

// Connect opens one physical connection and returns the base driver's own
// driver.Conn. If the server refuses the token, it is replaced and the login
// tried once more. The error is a *TokenError if there is no token, an
// *AuthError if the server refused, a *DSNError with Key "user" if the role's
// name is unknown, else the base driver's, with advice around it where there is
// some: in that of a server without a free connection errors.As finds the base's
// error (*pgconn.PgError). It is never driver.ErrBadConn.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		c.failed.Add(1)
		return nil, err
	}
	return conn, nil
}

func (c *Connector) connect(ctx context.Context) (driver.Conn, error) {
	login, err := c.Login(ctx)
	if err != nil {
		return nil, err
	}
	conn, refused, err := c.try(ctx, login)
	if refused == nil {
		return conn, err
	}
	if !refused.sent {
		return nil, refused
	}
	next, err := c.tokens.replace(ctx, string(login.Password), !c.hopeless.Load())
	if err != nil {
		if isFinal(err) {
			c.hopeless.Store(true)
		}
		c.logNoRetry(login.User, err)
		refused.noToken = err
		return nil, refused
	}
	return c.retry(ctx, next.Token)
}

// retry logs in with the token that replaced a refused one.
func (c *Connector) retry(ctx context.Context, token string) (driver.Conn, error) {
	login, err := c.loginWith(token)
	if err != nil {
		return nil, err
	}
	c.logRetry(login.User)
	conn, refused, err := c.try(ctx, login)
	if refused == nil {
		return conn, err
	}
	if refused.sent {
		c.hopeless.Store(true)
	}
	refused.Retried = true
	return nil, refused
}

// try logs in once. A refusal is returned by itself, for the caller to complete.
func (c *Connector) try(ctx context.Context, login Login) (driver.Conn, *AuthError, error) {
	conn, err := c.open(ctx, login)
	if err == nil {
		c.succeeded()
		return conn, nil, nil
	}
	server, sent := refusal(err)
	if server == nil {
		err = notBadConn(err)
		return nil, nil, explainLogin(c.failedLogin(login, err), err)
	}
	return nil, c.refusedError(login, server, err, sent), nil
}

// Login returns what one login needs, the token and the role's name, and opens no
// connection: for programs that log in by other means, such as psql with PGPASSWORD.
// The token is good for new logins until its end, so each login takes a new
// Login. The error is a *TokenError if there is no token, and a *DSNError with Key
// "user" if the role's name is unknown.
func (c *Connector) Login(ctx context.Context) (Login, error) {
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return Login{}, err
	}
	return c.loginWith(token.Token)
}

// Dial opens a TLS connection to one of the Config's hosts as Login.Dial does, before
// there is a token: for programs that look at the server, or speak the protocol by
// themselves. Its ConnectionState method is that of *tls.Conn.
func (c *Connector) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.dial(ctx, network, address)
}

func (c *Connector) loginWith(token string) (Login, error) {
	user := c.cfg.User
	if user == "" {
		claims, _ := readClaims(token)
		if user = claims.userName(); user == "" {
			return Login{}, noUserError(claims)
		}
	}
	return Login{User: user, Password: Secret(token), Dial: c.dial}, nil
}

func (c *Connector) refusedError(login Login, server sqlStateError, err error, sent bool) *AuthError {
	if errors.Is(err, driver.ErrBadConn) {
		err = server // database/sql would connect anew; see notBadConn
	}
	e := newAuthError(c.failedLogin(login, server), server, err, sent)
	c.logRefusal(login.User, e.Advice, server, sent)
	return e
}

// logRefusal books a refused login. The server's words and its code are foreign.
// The advice is there for pgxpool, which returns pgx's own error.
func (c *Connector) logRefusal(user, advice string, server sqlStateError, sent bool) {
	c.refused.Add(1)
	if l := c.cfg.Logger; l != nil {
		l.LogAttrs(context.Background(), slog.LevelWarn, "azurepg: login refused", slog.String("user", cutForeign(user)),
			slog.String("sqlstate", cutForeign(server.SQLState())), slog.String("server", cutForeign(server.Error())), slog.Bool("token_sent", sent),
			slog.String("advice", advice))
	}
}

// logRetry books a second login with a new token.
func (c *Connector) logRetry(user string) {
	c.retried.Add(1)
	if l := c.cfg.Logger; l != nil {
		l.LogAttrs(context.Background(), slog.LevelInfo, "azurepg: logging in again with a new token", slog.String("user", cutForeign(user)))
	}
}

// logNoRetry says why a refused login is not tried again.
func (c *Connector) logNoRetry(user string, why error) {
	if l := c.cfg.Logger; l != nil {
		l.LogAttrs(context.Background(), slog.LevelWarn, "azurepg: not logging in again", slog.String("user", cutForeign(user)), slog.String("error", logText(why)))
	}
}

// succeeded books a login.
func (c *Connector) succeeded() {
	c.opened.Add(1)
	if c.hopeless.Load() {
		c.hopeless.Store(false)
	}
	if c.lastRefused.Load() != nil {
		c.lastRefused.Store(nil)
	}
}

// notBadConn hides driver.ErrBadConn, at which database/sql would connect twice
// more, each time with the token.
func notBadConn(err error) error {
	if errors.Is(err, driver.ErrBadConn) {
		return errors.New("azurepg: the base driver could not connect: " + quoteForeign(err.Error()))
	}
	return err
}
