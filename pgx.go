package azurepg

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// pgxBase is the default base.
type pgxBase struct {
	floor     *floor
	template  *pgx.ConnConfig // without user and password
	connector driver.Connector
}

// newPgxBase makes the base from cfg, which is checked.
func newPgxBase(cfg *Config, f *floor) (*pgxBase, error) {
	cc, err := parseConstant()
	if err != nil {
		return nil, err
	}
	b := &pgxBase{floor: f, template: cc}
	cc.Database = cfg.Database
	cc.ConnectTimeout = max(cfg.ConnectTimeout, 0)
	cc.RuntimeParams = maps.Clone(cfg.RuntimeParams)
	if cc.RuntimeParams == nil {
		cc.RuntimeParams = map[string]string{}
	}
	cc.DialFunc = (&net.Dialer{}).DialContext // without pgx's own time-out
	cc.ValidateConnect = validators[cfg.TargetSessionAttrs]
	if err := setBaseParams(cc, cfg.BaseParams); err != nil {
		return nil, err
	}
	if lookup := hostaddrs(cfg.Hosts); lookup != nil {
		cc.LookupFunc = lookup
	}
	if cfg.ConfigurePgx != nil {
		if err := cfg.ConfigurePgx(cc); err != nil {
			return nil, &DSNError{Key: "ConfigurePgx", Err: err}
		}
	}
	b.claim(cc, "")
	b.connector = stdlib.GetConnector(*cc, stdlib.OptionBeforeConnect(func(ctx context.Context, cc *pgx.ConnConfig) error {
		a, ok := ctx.Value(attemptKey{}).(*attempt)
		if !ok {
			return errors.New("azurepg: this connector is not to be used by itself")
		}
		a.arm(cc)
		return nil
	}))
	return b, nil
}

// constant is a DSN that overrides every variable and file that pgx reads: pgx
// has no other way to make a ConnConfig, and reads the environment for all that
// the DSN does not say. What matters is then set field by field.
const constant = "host=localhost port=5432 user=azurepg dbname=azurepg passfile='' " +
	"sslmode=disable sslcert='' sslkey='' sslrootcert='' sslpassword='' sslsni=1 sslcertmode=allow sslnegotiation=postgres " +
	"connect_timeout=0 target_session_attrs=any min_protocol_version=3.0 max_protocol_version=3.0 " +
	"channel_binding=disable require_auth=password application_name='' options='' timezone=''"

// parseConstant is pgx.ParseConfig without the environment.
func parseConstant() (*pgx.ConnConfig, error) {
	var cc *pgx.ConnConfig
	err := withoutService(func(service string) (err error) {
		cc, err = pgx.ParseConfig(constant + service)
		return err
	})
	return cc, err
}

// withoutService calls parse with settings that keep pgx away from the service
// that PGSERVICE names, which pgx insists on finding: an empty service in a
// file of ours. It has no other switch (pgx 5.12). What parse returns is
// replaced, since pgx's text can hold what it read.
func withoutService(parse func(service string) error) error {
	var service string
	if os.Getenv("PGSERVICE") != "" {
		f, err := os.CreateTemp("", "azurepg-service-*")
		if err != nil {
			return &DSNError{Key: "PGSERVICE", Err: errors.New("pgx needs a temporary file to leave it aside, and none can be made here: unset PGSERVICE or set TMPDIR")}
		}
		defer func() { _ = os.Remove(f.Name()) }()
		_, err = f.WriteString("[azurepg]\n")
		if err = errors.Join(err, f.Close()); err != nil {
			return &DSNError{Key: "PGSERVICE", Err: errors.New("pgx needs a temporary file to leave it aside, and it cannot be written")}
		}
		service = " service=azurepg servicefile='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(f.Name()) + "'"
	}
	if parse(service) != nil {
		return &DSNError{Key: "DSN", Err: errors.New("pgx cannot start from its defaults in this environment (a PG variable that azurepg does not know?)")}
	}
	return nil
}

// validators are pgx's checks for target_session_attrs.
var validators = map[string]pgconn.ValidateConnectFunc{
	"read-write":     pgconn.ValidateConnectTargetSessionAttrsReadWrite,
	"read-only":      pgconn.ValidateConnectTargetSessionAttrsReadOnly,
	"primary":        pgconn.ValidateConnectTargetSessionAttrsPrimary,
	"standby":        pgconn.ValidateConnectTargetSessionAttrsStandby,
	"prefer-standby": pgconn.ValidateConnectTargetSessionAttrsPreferStandby,
}

var execModes = map[string]pgx.QueryExecMode{
	"cache_statement": pgx.QueryExecModeCacheStatement,
	"cache_describe":  pgx.QueryExecModeCacheDescribe,
	"describe_exec":   pgx.QueryExecModeDescribeExec,
	"exec":            pgx.QueryExecModeExec,
	"simple_protocol": pgx.QueryExecModeSimpleProtocol,
}

func setBaseParams(cc *pgx.ConnConfig, params map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(params)) {
		var err error
		switch value := params[key]; key {
		case "default_query_exec_mode":
			mode, ok := execModes[value]
			if !ok {
				err = fmt.Errorf("it must be one of %s", strings.Join(slices.Sorted(maps.Keys(execModes)), ", "))
			}
			cc.DefaultQueryExecMode = mode
		case "statement_cache_capacity":
			cc.StatementCacheCapacity, err = strconv.Atoi(value)
		case "description_cache_capacity":
			cc.DescriptionCacheCapacity, err = strconv.Atoi(value)
		default:
			err = errors.New("pgx does not know it: it is for another base driver")
		}
		if errors.Is(err, strconv.ErrSyntax) || errors.Is(err, strconv.ErrRange) {
			err = errors.New("it must be a number")
		}
		if err != nil {
			return &DSNError{Key: key, Err: err}
		}
	}
	return nil
}

// hostaddrs returns a look-up that knows the hosts with an Addr, or nil if there
// are none.
func hostaddrs(hosts []Host) pgconn.LookupFunc {
	addrs := map[string][]string{}
	for _, h := range hosts {
		if h.Addr != "" && !slices.Contains(addrs[h.Name], h.Addr) {
			addrs[h.Name] = append(addrs[h.Name], h.Addr)
		}
	}
	if len(addrs) == 0 {
		return nil
	}
	return func(ctx context.Context, host string) ([]string, error) {
		if a := addrs[host]; a != nil {
			return a, nil
		}
		return net.DefaultResolver.LookupHost(ctx, host)
	}
}

// claim sets what azurepg alone decides, whatever cc said before.
func (b *pgxBase) claim(cc *pgx.ConnConfig, user string) {
	f := b.floor
	cc.User, cc.Password = user, ""
	cc.Host, cc.Port, cc.TLSConfig = f.hosts[0].Name, f.hosts[0].port(), f.configs[0]
	cc.Fallbacks = nil
	for i := 1; i < len(f.hosts); i++ {
		cc.Fallbacks = append(cc.Fallbacks, &pgconn.FallbackConfig{Host: f.hosts[i].Name, Port: f.hosts[i].port(), TLSConfig: f.configs[i]})
	}
	cc.SSLNegotiation = "postgres"
	if f.direct {
		cc.SSLNegotiation = "direct"
	}
	cc.RequireAuth = "password"
	cc.ChannelBinding = "disable"
	cc.OAuthTokenProvider = nil
}

// open is the OpenFunc.
func (b *pgxBase) open(ctx context.Context, login Login) (driver.Conn, error) {
	a := &attempt{base: b, user: login.User, token: login.Password}
	conn, err := b.connector.Connect(context.WithValue(ctx, attemptKey{}, a))
	a.end()
	if err != nil {
		return nil, &pgxError{err: err, sent: a.sent}
	}
	return conn, nil
}

// pgxError is an error of pgx and whether the password had been sent by then.
type pgxError struct {
	err  error
	sent bool
}

func (e *pgxError) Error() string      { return e.err.Error() }
func (e *pgxError) Unwrap() error      { return e.err }
func (e *pgxError) PasswordSent() bool { return e.sent }

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

// BeforeConnect is pgx's hook of that name, for a pgxpool.Config of one's own:
//
//	config.BeforeConnect = connector.BeforeConnect
//
// It gets a token and takes over cc's user, password, hosts, ports, TLS and
// required authentication; the password is set only once TLS stands and is
// gone when the login is over. The other settings and hooks of cc stay.
//
// Unlike Connect it cannot log in a second time: if the server refuses the
// token, this connect fails and the next one has a new token.
func (c *Connector) BeforeConnect(ctx context.Context, cc *pgx.ConnConfig) error {
	if c.pgx == nil {
		return errNotPgx
	}
	login, err := c.login(ctx)
	if err != nil {
		return err
	}
	token := string(login.Password)
	a := &attempt{base: c.pgx, user: login.User, token: login.Password, watch: true,
		onRefused: func() { c.refusedOnce(token) }, onSuccess: c.succeeded}
	a.arm(cc)
	return nil
}

var errNotPgx = &DSNError{Key: "Base", Err: errors.New("pgxpool needs the pgx base, which Config.Base has replaced")}

// PoolConfig returns a configuration for pgxpool.NewWithConfig that logs in as
// c does, with the pool_* keys of the DSN. It holds no secret, also later.
func (c *Connector) PoolConfig() (*pgxpool.Config, error) {
	if c.pgx == nil {
		return nil, errNotPgx
	}
	var config *pgxpool.Config
	err := withoutService(func(service string) (err error) {
		dsn := constant + service
		for _, key := range slices.Sorted(maps.Keys(c.cfg.PoolParams)) {
			dsn += " " + key + "=" + c.cfg.PoolParams[key] // numbers and durations: checked
		}
		config, err = pgxpool.ParseConfig(dsn)
		return err
	})
	if err != nil {
		return nil, err
	}
	config.ConnConfig = c.pgx.template.Copy()
	config.BeforeConnect = c.BeforeConnect
	return config, nil
}

// NewPool is pgxpool.New with azurepg's DSN and logins. The DSN may hold pool_*
// keys. Nothing is dialled unless the pool wants idle connections.
func NewPool(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	c, err := NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	config, err := c.PoolConfig()
	if err != nil {
		return nil, err
	}
	return pgxpool.NewWithConfig(ctx, config)
}
