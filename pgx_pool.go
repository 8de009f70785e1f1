package azurepg

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// BeforeConnect is pgx's hook of that name, for a pgxpool.Config of your own:
//
//	config.BeforeConnect = connector.BeforeConnect
//
// It gets a token and takes over cc's user, password, hosts, ports, TLS and
// required authentication; the password is set only when the server asks for it
// and is gone as soon as it is sent. The other settings and hooks of cc stay.
//
// Unlike Connect it cannot log in a second time: if the server refuses the
// token, this connect fails and the next one has a new token. What it sets is good for
// one connect: call it again for the next. Hooks that are set
// on cc afterwards take the place of azurepg's: call BeforeConnect last.
func (c *Connector) BeforeConnect(ctx context.Context, cc *pgx.ConnConfig) error {
	if c.pgx == nil {
		return errNotPgx
	}
	t, err := c.poolLogin(ctx)
	if err != nil {
		return err
	}
	a := c.pgx.newAttempt(t.login)
	a.onSuccess = c.succeeded
	a.onRefused = func(token string, server *pgconn.PgError, sent bool) {
		c.refused.Add(1)
		f := c.failedLogin(Login{User: t.login.User, Password: Secret(token)}, server)
		c.logRefused(t, server, sent, f.explain())
		if sent {
			c.poolRefused(token)
		}
	}
	t.login.Password = "" // the closure above keeps t
	disarm(cc)
	a.arm(cc)
	cc.TLSConfig = cc.TLSConfig.Clone() // cc is the caller's to change
	for _, f := range cc.Fallbacks {
		f.TLSConfig = f.TLSConfig.Clone()
	}
	return nil
}

// poolLogin is Login, but with a new token if the last one was refused: unlike
// Connect, BeforeConnect learns of that only afterwards.
func (c *Connector) poolLogin(ctx context.Context) (try, error) {
	login, err := c.Login(ctx)
	if err != nil {
		return try{}, err
	}
	attempt, asked := 1, time.Now()
	if refused := c.lastRefused.Load(); refused != nil && *refused == string(login.Password) {
		next, err := c.tokens.replace(ctx, *refused, !c.hopeless.Load())
		var noToken *TokenError
		switch {
		case errors.As(err, &noToken):
			return try{}, err
		case err != nil: // the old one may be good by now
			if isFinal(err) {
				c.hopeless.Store(true)
			}
			c.logNoRetry(try{login, 1, asked}, err)
		default:
			if login, err = c.loginWith(next); err != nil {
				return try{}, err
			}
			attempt = 2
			c.retried.Add(1)
			c.logRetry(try{login, 2, asked})
		}
	}
	return try{login, attempt, time.Now()}, nil
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
