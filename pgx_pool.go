package azurepg

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// BeforeConnect is pgx's hook of that name, for a pgxpool.Config of your own:
//
//	config.BeforeConnect = connector.BeforeConnect
//
// It gets a token and takes over cc's user, password, hosts, ports, TLS and
// required authentication; the password is set only once TLS stands and is
// gone when the login is over. The other settings and hooks of cc stay.
//
// Unlike Connect it cannot log in a second time: if the server refuses the
// token, this connect fails and the next one has a new token. Hooks that are set
// on cc afterwards take the place of azurepg's: call BeforeConnect last.
func (c *Connector) BeforeConnect(ctx context.Context, cc *pgx.ConnConfig) error {
	if c.pgx == nil {
		return errNotPgx
	}
	login, err := c.poolLogin(ctx)
	if err != nil {
		return err
	}
	a := c.pgx.newAttempt(login)
	a.onSuccess = c.succeeded
	a.onRefused = func(token string, server *pgconn.PgError, sent bool) {
		f := c.failedLogin(Login{User: login.User, Password: Secret(token)}, server)
		c.logRefusal(f.user, f.explain(), server, sent)
		if sent {
			c.poolRefused(token)
		}
	}
	login.Password = "" // the closure above keeps login
	disarm(cc)
	a.arm(cc)
	cc.TLSConfig = cc.TLSConfig.Clone() // cc is the caller's to change
	for _, f := range cc.Fallbacks {
		f.TLSConfig = f.TLSConfig.Clone()
	}
	return nil
}

// poolLogin is login, but with a new token if the last one was refused: unlike
// Connect, BeforeConnect learns of that only afterwards.
func (c *Connector) poolLogin(ctx context.Context) (Login, error) {
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return Login{}, err
	}
	if refused := c.lastRefused.Load(); refused != nil && *refused == token.Token {
		next, err := c.tokens.replace(ctx, token.Token, !c.hopeless.Load())
		var noToken *TokenError
		switch {
		case err == nil:
			token = next
			c.logRetry(c.cfg.User)
		case errors.As(err, &noToken):
			return Login{}, err
		default: // the old one may be good by now
			if isFinal(err) {
				c.hopeless.Store(true)
			}
			c.logNoRetry(c.cfg.User, err)
		}
	}
	return c.loginWith(token.Token)
}

// poolRefused remembers which token was refused. A second one means that the
// role is wrong, not the token. A token that has been replaced meanwhile means nothing.
func (c *Connector) poolRefused(token string) {
	if !c.tokens.inUse(token) {
		return
	}
	before := c.lastRefused.Swap(&token)
	if before != nil && *before != token {
		c.hopeless.Store(true)
	}
}

var errNotPgx = &DSNError{Key: "Base", Err: errors.New("pgxpool needs the pgx base, which Config.Base has replaced")}

// PoolConfig returns a configuration for pgxpool.NewWithConfig that logs in as
// c does, with the pool_* keys of the DSN. It never holds a secret. With another
// base than pgx the error is a *DSNError with Key "Base".
func (c *Connector) PoolConfig() (*pgxpool.Config, error) {
	if c.pgx == nil {
		return nil, errNotPgx
	}
	var config *pgxpool.Config
	err := withoutService(func(service string) (err error) {
		dsn := isolatedDSN + service
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
// keys. Nothing is dialled unless the pool wants idle connections. Its errors are
// *DSNError. For a Logger or Stats use NewConnector and PoolConfig.
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
