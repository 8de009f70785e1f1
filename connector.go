package azurepg

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
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
	// ExpiresOn is the token's end: until then it is good for new logins.
	ExpiresOn time.Time
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

// Stats counts what a Connector did since it was made. The counters are of
// logins and never go down. Its JSON has the names of the fields, so that expvar
// can publish it:
//
//	expvar.Publish("azurepg", expvar.Func(func() any { return connector.Stats() }))
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
	if floor.mode == sslRequire {
		logUnverified(checked.Logger)
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
	conn, refused, err := c.try(ctx, try{login, 1, time.Now()})
	if refused == nil {
		return conn, err
	}
	if !refused.sent {
		return nil, refused
	}
	asked := time.Now()
	next, err := c.tokens.replace(ctx, string(login.Password), !c.hopeless.Load())
	if err != nil {
		if isFinal(err) {
			c.hopeless.Store(true)
		}
		c.logNoRetry(try{login, 1, asked}, err)
		refused.noToken = err
		return nil, refused
	}
	return c.retry(ctx, next, asked)
}

// retry logs in with the token that replaced a refused one and was asked for then.
func (c *Connector) retry(ctx context.Context, token azcore.AccessToken, asked time.Time) (driver.Conn, error) {
	login, err := c.loginWith(token)
	if err != nil {
		return nil, err
	}
	c.retried.Add(1)
	c.logRetry(try{login, 2, asked})
	conn, refused, err := c.try(ctx, try{login, 2, time.Now()})
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
func (c *Connector) try(ctx context.Context, t try) (driver.Conn, *AuthError, error) {
	conn, err := c.open(ctx, t.login)
	if err == nil {
		c.succeeded()
		return conn, nil, nil
	}
	server, sent := refusal(err)
	if server == nil {
		err = notBadConn(err)
		return nil, nil, explainLogin(c.failedLogin(t.login, err), err)
	}
	return nil, c.refusedError(t, server, err, sent), nil
}

// Login returns what one login needs, the token and the role's name, and opens no
// connection: for programs that log in by other means, such as psql with PGPASSWORD.
// The token is good for new logins until ExpiresOn, so each login takes a new
// Login. The error is a *TokenError if there is no token, and a *DSNError with Key
// "user" if the role's name is unknown.
func (c *Connector) Login(ctx context.Context) (Login, error) {
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return Login{}, err
	}
	return c.loginWith(token)
}

// Dial opens a TLS connection to one of the Config's hosts as Login.Dial does, before
// there is a token: for programs that look at the server, or speak the protocol by
// themselves. Its ConnectionState method is that of *tls.Conn.
func (c *Connector) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.dial(ctx, network, address)
}

func (c *Connector) loginWith(token azcore.AccessToken) (Login, error) {
	user := c.cfg.User
	if user == "" {
		claims, _ := readClaims(token.Token)
		if user = claims.userName(); user == "" {
			return Login{}, noUserError(claims)
		}
	}
	return Login{User: user, Password: Secret(token.Token), ExpiresOn: token.ExpiresOn, Dial: c.dial}, nil
}

// refusedError books a refused login.
func (c *Connector) refusedError(t try, server sqlStateError, err error, sent bool) *AuthError {
	if errors.Is(err, driver.ErrBadConn) {
		err = server // database/sql would connect anew; see notBadConn
	}
	c.refused.Add(1)
	e := newAuthError(c.failedLogin(t.login, server), server, err, sent)
	c.logRefused(t, server, sent, e.Advice)
	return e
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
