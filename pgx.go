package azurepg

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/azurepg/azurepg/internal/foreign"
)

// pgxBase is the default base.
type pgxBase struct {
	floor     *floor
	template  *pgx.ConnConfig // without user and password
	connector driver.Connector
	writer    bool // target_session_attrs wants sessions that can write
}

// newPgxBase makes the base from cfg, which is checked.
func newPgxBase(cfg *Config, f *floor) (*pgxBase, error) {
	cc, err := parseIsolated()
	if err != nil {
		return nil, err
	}
	b := &pgxBase{floor: f, template: cc, writer: cfg.TargetSessionAttrs == "read-write" || cfg.TargetSessionAttrs == "primary"}
	cc.Database = cfg.Database
	cc.ConnectTimeout = max(cfg.ConnectTimeout, 0)
	cc.RuntimeParams = maps.Clone(cfg.RuntimeParams)
	if cc.RuntimeParams == nil {
		cc.RuntimeParams = map[string]string{}
	}
	cc.DialFunc = (&net.Dialer{}).DialContext // without pgx's own time-out
	cc.ValidateConnect = answered(validators[cfg.TargetSessionAttrs])
	if err := setBaseParams(cc, cfg.BaseParams); err != nil {
		return nil, err
	}
	if cfg.ConfigurePgx != nil {
		if err := cfg.ConfigurePgx(cc); err != nil {
			return nil, &DSNError{Key: "ConfigurePgx", Err: err}
		}
	}
	b.takeOver(cc, "")
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

// isolatedDSN is a DSN that overrides every variable and file that pgx reads: pgx
// has no other way to make a ConnConfig, and reads the environment for all that
// the DSN does not say. What matters is then set field by field.
const isolatedDSN = "host=localhost port=5432 user=azurepg dbname=azurepg passfile='' " +
	"sslmode=disable sslcert='' sslkey='' sslrootcert='' sslpassword='' sslsni=1 sslcertmode=allow sslnegotiation=postgres " +
	"connect_timeout=0 target_session_attrs=any min_protocol_version=3.0 max_protocol_version=3.0 " +
	"channel_binding=disable require_auth=password application_name='' options='' timezone=''"

// parseIsolated is pgx.ParseConfig without the environment.
func parseIsolated() (*pgx.ConnConfig, error) {
	var cc *pgx.ConnConfig
	err := withoutService(func(service string) (err error) {
		cc, err = pgx.ParseConfig(isolatedDSN + service)
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

// answered makes an error of the panic with which pgx's checks (5.12) meet a server
// that does not answer their question with a row.
func answered(check pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	if check == nil {
		return nil
	}
	return func(ctx context.Context, conn *pgconn.PgConn) (err error) {
		defer func() {
			if recover() != nil {
				err = errors.New("the server has no answer to what target_session_attrs asks")
			}
		}()
		return check(ctx, conn)
	}
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

// takeOver sets what azurepg alone decides, whatever cc said before. A host with
// an Addr is known to pgx by that: the name to verify is in its tls.Config.
func (b *pgxBase) takeOver(cc *pgx.ConnConfig, user string) {
	f := b.floor
	cc.User, cc.Password = user, ""
	cc.Host, cc.Port, cc.TLSConfig = f.hosts[0].dialName(), f.hosts[0].port(), f.configs[0]
	cc.Fallbacks = nil
	for i, h := range f.hosts[1:] {
		cc.Fallbacks = append(cc.Fallbacks, &pgconn.FallbackConfig{Host: h.dialName(), Port: h.port(), TLSConfig: f.configs[i+1]})
	}
	cc.SSLNegotiation = "postgres"
	if f.direct {
		cc.SSLNegotiation = "direct"
	}
	demandPassword(&cc.Config)
}

// verifies reports whether the configurations that pgx really has verify servers.
// What matters is the state of a connection, and check looks at that; this is for
// hooks that turn the verification off, however good the server is.
func (b *pgxBase) verifies(config *pgconn.Config) bool {
	ok := config.TLSConfig == nil || b.floor.verifies(config.TLSConfig)
	for _, f := range config.Fallbacks {
		ok = ok && (f.TLSConfig == nil || b.floor.verifies(f.TLSConfig))
	}
	return ok
}

// open is the OpenFunc.
func (b *pgxBase) open(ctx context.Context, login Login) (driver.Conn, error) {
	a := b.newAttempt(login)
	conn, err := b.connector.Connect(context.WithValue(ctx, attemptKey{}, a))
	refusedToken := a.end()
	if err != nil {
		return nil, &pgxError{err: err, sent: refusedToken}
	}
	return conn, nil
}

// pgxError is an error of pgx and whether the host that refused the login had
// been sent the password.
type pgxError struct {
	err  error
	sent bool
}

// Error is pgx's text in one line; pgx writes a line for each host. What the
// servers said in it is theirs: it is cut, and cannot move the cursor.
func (e *pgxError) Error() string {
	text := strings.NewReplacer(":\n\t", ": ", "\n\t", "; ", "\n", "; ", "AfterNetConnect failed: ", "",
		"tls error: server refused TLS connection", "the server offers no TLS, and was sent nothing").Replace(e.err.Error())
	return "azurepg: " + foreign.Cut(foreign.Printable(text, ' '), 1000)
}

func (e *pgxError) Unwrap() error      { return e.err }
func (e *pgxError) PasswordSent() bool { return e.sent }
