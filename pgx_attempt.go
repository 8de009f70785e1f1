package azurepg

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg/internal/hostlist"
)

type attemptKey struct{}

// attempt is one connect by pgx, at one host after another. It gives pgx the
// password when a server asks for it inside TLS, and takes it back as it is sent.
// pgx closes some connections in a goroutine of its own, while its error with the
// config in it is on its way to tracers: whatever comes later would come too late.
//
// pgx tries the hosts one after the other, but a connection that has failed may
// still be winding up in a goroutine of its own, with its own writer and dial,
// while the next host is asked. So what belongs to one host is in a hostLogin.
type attempt struct {
	base      *pgxBase
	user      string
	hooks     hooks
	onRefused func(token string, server *pgconn.PgError, sent bool) // may be nil
	onSuccess func()                                                // may be nil

	mu      sync.Mutex     // guards what follows
	token   *Secret        // nil: the attempt is over
	config  *pgconn.Config // has the password at this moment; nil: none has
	owner   *pgconn.Config // of the one connect that this attempt is for; nil: none yet
	spare   *hostLogin     // for the first host; nil: in use
	current *hostLogin     // the one that may ask for the password; nil: none
	refused bool           // a host refused the login: no other one gets the token
	sent    bool           // and it had the token by then
}

// hooks are the user's hooks in pgx's config, called after ours.
type hooks struct {
	dial            pgconn.DialFunc
	afterNetConnect func(context.Context, *pgconn.Config, net.Conn) (net.Conn, error)
	buildFrontend   pgconn.BuildFrontendFunc
	onPgError       pgconn.PgErrorHandler
	onNotice        pgconn.NoticeHandler
	afterConnect    pgconn.AfterConnectFunc
}

// attemptMemory is what an attempt at one host needs, in one allocation. Only here is
// the token no pointer: what is printed of the others does not show it.
type attemptMemory struct {
	attempt attempt
	token   Secret
	first   hostLogin
}

func (b *pgxBase) newAttempt(login Login) *attempt {
	m := &attemptMemory{token: login.Password}
	m.attempt.base, m.attempt.user = b, login.User
	m.attempt.token, m.attempt.spare = &m.token, &m.first
	return &m.attempt
}

// arm makes cc log in with a. cc is pgx's copy for one connect.
func (a *attempt) arm(cc *pgx.ConnConfig) {
	a.base.takeOver(cc, a.user)
	a.hooks = hooks{cc.DialFunc, cc.AfterNetConnect, cc.BuildFrontend, cc.OnPgError, cc.OnNotice, cc.AfterConnect}
	cc.DialFunc = a.dial
	cc.AfterNetConnect = a.afterNetConnect
	cc.BuildFrontend = a.buildFrontend
	cc.OnPgError = a.onPgError
	if cc.OnNotice != nil {
		cc.OnNotice = a.onNotice
	}
	if a.onSuccess != nil {
		cc.AfterConnect = a.afterConnect
	}
}

type armedKey struct{}

// disarm gives cc back the user's hooks, if an attempt has armed it before: who
// calls BeforeConnect by himself may do so again with the same cc.
func disarm(cc *pgx.ConnConfig) {
	if last := armedBy(cc); last != nil {
		last.end()
		h := last.hooks
		cc.DialFunc, cc.AfterNetConnect, cc.BuildFrontend = h.dial, h.afterNetConnect, h.buildFrontend
		cc.OnPgError, cc.AfterConnect = h.onPgError, h.afterConnect
		if h.onNotice != nil { // else it was left alone
			cc.OnNotice = h.onNotice
		}
	}
}

// armedBy returns the attempt whose hooks cc has, or nil. A function can only be
// compared by its code, which all attempts share; so ours is then asked whose it is.
func armedBy(cc *pgx.ConnConfig) *attempt {
	ours := (*attempt)(nil).afterNetConnect
	if reflect.ValueOf(cc.AfterNetConnect).Pointer() != reflect.ValueOf(ours).Pointer() {
		return nil
	}
	var a *attempt
	_, _ = cc.AfterNetConnect(context.WithValue(context.Background(), armedKey{}, &a), nil, nil)
	return a
}

var (
	errOtherHost    = errors.New("not asked: another host has refused the login")
	errOtherConnect = errors.New("what BeforeConnect has set is good for one connect: call it again for the next")
)

// dial is also pgx's way to cancel a query, long after the login.
func (a *attempt) dial(ctx context.Context, network, address string) (net.Conn, error) {
	a.mu.Lock()
	refused := a.refused && a.token != nil
	login := a.spare
	a.spare = nil
	a.mu.Unlock()
	if refused {
		return nil, errOtherHost
	}
	if !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("%w: a unix socket cannot do TLS", ErrInsecureTLS)
	}
	conn, err := a.hooks.dial(ctx, network, address)
	if err != nil {
		return nil, timeUp(ctx, err)
	}
	if login == nil {
		login = new(hostLogin)
	}
	login.Conn, login.attempt = conn, a
	return login, nil
}

// afterNetConnect runs when TLS has been agreed on and before the start-up
// packet. It must return a connection even with an error: pgx closes it.
func (a *attempt) afterNetConnect(ctx context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
	if who, ok := ctx.Value(armedKey{}).(**attempt); ok {
		*who = a
		return conn, nil
	}
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return conn, fmt.Errorf("%w: this connection has none", ErrInsecureTLS)
	}
	if !a.base.verifies(config) {
		return conn, fmt.Errorf("%w: a hook has replaced the TLSConfig by one that does not verify", ErrInsecureTLS)
	}
	if err := a.base.floor.handshake(ctx, secure); err != nil {
		return conn, err
	}
	login, ok := secure.NetConn().(*hostLogin)
	if !ok {
		return conn, fmt.Errorf("%w: the connection was not dialled by azurepg (is DialFunc set after BeforeConnect?)", ErrInsecureTLS)
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
	demandPassword(config) // what the hook may have changed
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.owner == nil {
		a.owner = config
	}
	if a.owner != config { // its token could not be taken back
		return conn, errOtherConnect
	}
	if a.token != nil {
		a.current = login
	}
	return conn, nil
}

// demandPassword makes pgx refuse every kind of authentication but a request
// for a cleartext password.
func demandPassword(config *pgconn.Config) {
	config.RequireAuth = "password"
	config.ChannelBinding = "disable"
	config.OAuthTokenProvider = nil
}

// buildFrontend puts itself between pgx and its connection, to see the password asked
// for and sent. pgx calls it right after afterNetConnect.
func (a *attempt) buildFrontend(r io.Reader, w io.Writer) *pgproto3.Frontend {
	login := a.watched()
	login.reader = loginReader{r: r, login: login}
	login.writer = loginWriter{w: w, login: login}
	return a.hooks.buildFrontend(&login.reader, &login.writer)
}

// watched returns the present host's login, or another one, which is given nothing, if
// that is in use: a user's AfterConnect may have failed, and pgx asks the next host.
func (a *attempt) watched() *hostLogin {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == nil || a.current.writer.w != nil {
		return &hostLogin{attempt: a}
	}
	return a.current
}

// end forgets the token, and returns whether a host refused it.
func (a *attempt) end() (refusedToken bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.takeBack(a.current)
	if a.token != nil {
		*a.token = "" // its memory lives as long as the connection
		a.token = nil
	}
	return a.refused && a.sent
}

// give puts the password into pgx's config, since the server of login asks for it.
func (a *attempt) give(login *hostLogin) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != nil && a.current == login {
		login.given = true
		a.owner.Password = string(*a.token)
		a.config = a.owner
	}
}

// takeBack removes the password from pgx's config, where errors and connections
// could show it, if it is there for login. The caller holds mu.
func (a *attempt) takeBack(login *hostLogin) {
	if login != nil && a.current == login && a.config != nil {
		a.config.Password = ""
		a.config = nil
	}
}

// onPgError is called for every error that the server reports, also for those
// of queries.
//
// False means that the connection is of no more use: pgx closes it, and no pool
// keeps it. So it is with a session that cannot write any more where
// target_session_attrs wants one that can. After an error of a login it never is of
// use, and pgx then returns err, in which the token is hidden. At true it would
// read the server's message once more.
func (a *attempt) onPgError(conn *pgconn.PgConn, err *pgconn.PgError) bool {
	ofLogin := a.noteError(err)
	usable := a.hooks.onPgError == nil || a.hooks.onPgError(conn, err)
	const readOnlySQLTransaction = "25006"
	demoted := a.base.writer && err.Code == readOnlySQLTransaction
	return usable && !ofLogin && !demoted
}

// noteError notes an error of a login, and returns whether err is one. While ValidateConnect
// looks whether the session will do, a refusal still is, as of a PgBouncer that logs in to
// its server only then, and so is what has the token in it. It calls onRefused without the
// lock.
func (a *attempt) noteError(err *pgconn.PgError) bool {
	a.mu.Lock()
	if a.token == nil || a.current == nil {
		a.mu.Unlock()
		return false
	}
	a.takeBack(a.current)
	token, sent := string(*a.token), a.current.sent
	repeated := hideToken(err, token)
	refused := hostlist.IsRefusal(err.Code, err.Message)
	if a.current.in && !refused {
		a.mu.Unlock()
		return repeated
	}
	if refused {
		a.refused, a.sent = true, sent
	}
	a.mu.Unlock()
	if refused && a.onRefused != nil {
		a.onRefused(token, err, sent)
	}
	return true
}

// onNotice is called for every notice of the server; one of a login may repeat the token.
func (a *attempt) onNotice(conn *pgconn.PgConn, notice *pgconn.Notice) {
	a.mu.Lock()
	if a.token != nil {
		hideToken((*pgconn.PgError)(notice), string(*a.token))
	}
	a.mu.Unlock()
	a.hooks.onNotice(conn, notice)
}

// hideToken takes the token, or another secret, out of what a server says that
// repeats what it was sent. It returns whether the token was in it.
func hideToken(err *pgconn.PgError, token string) (repeated bool) {
	for _, text := range []*string{
		&err.Severity, &err.SeverityUnlocalized, &err.Code, &err.Message, &err.Detail, &err.Hint, &err.Where, &err.InternalQuery,
		&err.SchemaName, &err.TableName, &err.ColumnName, &err.DataTypeName, &err.ConstraintName, &err.File, &err.Routine,
	} {
		repeated = repeated || strings.Contains(*text, token)
		*text = Redact(strings.ReplaceAll(*text, token, redacted))
	}
	return repeated
}

// afterConnect runs when a host has let us in that is the right one
// (target_session_attrs).
func (a *attempt) afterConnect(ctx context.Context, conn *pgconn.PgConn) error {
	a.end()
	a.onSuccess()
	if a.hooks.afterConnect == nil {
		return nil
	}
	return a.hooks.afterConnect(ctx, conn)
}
