// Package azurepg is a database/sql driver for Azure Database for PostgreSQL
// without passwords: each new physical connection logs in with a Microsoft
// Entra ID access token, from a cache that the whole process shares, over TLS
// that cannot be turned off.
//
//	import _ "github.com/azurepg/azurepg"
//
//	db, err := sql.Open("azurepg", "postgres://app@mydb.postgres.database.azure.com/shop")
//
// # What it hands out
//
// The connections in the pool are the PostgreSQL driver's own: pgx's
// *stdlib.Conn, unless Config.Base says otherwise; package pq is lib/pq for it,
// under the driver name "azurepg-pq". Queries take the same way as
// without azurepg, db.Conn(ctx).Raw reaches COPY, batches and LISTEN, and errors
// of queries are *pgconn.PgError as ever.
//
// # Whose token
//
// The key azure_credential names one of azidentity's credentials; the default is
// its DefaultAzureCredential. The token cache is shared by all connectors with
// the same identity settings. A token is renewed in the background before it
// ends, and one that the server refuses is replaced once. See TokenCache.
//
// # Who the user is
//
// The PostgreSQL role is the DSN's user, else PGUSER, else what the token says:
// the name of a user-assigned managed identity, or a person's user principal
// name. Service principals and system-assigned identities do not carry their
// role's name: set user.
//
// # TLS
//
// sslmode is verify-full (the default), verify-ca or require; for Azure host
// names every mode means verify-full. For other hosts require, if it is asked for
// by name, skips verification: it is for test servers. A token leaves only inside
// TLS 1.2 or newer, to a server verified as the mode demands, in answer to a
// request for a cleartext password, as Azure sends it. After a refusal no other
// host gets it.
//
// # Errors
//
// A setting that cannot work is a *DSNError, at sql.Open. No token is a
// *TokenError and a refused login an *AuthError, both from the first use of a
// connection. Their texts are one line, say what to do, and hold no secret. With
// pgxpool a refused login is pgx's own error, which holds none either.
package azurepg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// DriverName is the name under which this package registers with database/sql.
const DriverName = "azurepg"

func init() { sql.Register(DriverName, Driver{}) }

// Driver is the driver that sql.Open("azurepg", dsn) uses. The zero value is
// ready, and pgx is its base; NewDriver makes one with another base.
type Driver struct {
	base *Base // nil: pgx. A pointer, so that Drivers can be compared
}

// NewDriver returns a Driver with that base, to be registered under a name of its
// own; nil is pgx. Package pq registers "azurepg-pq" so.
func NewDriver(base Base) Driver {
	if base == nil {
		return Driver{}
	}
	return Driver{&base}
}

var (
	_ driver.Driver        = Driver{}
	_ driver.DriverContext = Driver{} // sql.Open parses the DSN once, and reports its faults
)

// OpenConnector returns a *Connector for the DSN. database/sql calls it at
// sql.Open. Its errors are *DSNError, also for pool_* keys.
func (d Driver) OpenConnector(dsn string) (driver.Connector, error) {
	cfg, err := ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	for key := range cfg.PoolParams {
		return nil, &DSNError{Key: key, Err: errors.New("the pool of database/sql is set by code: DB.SetMaxOpenConns, SetMaxIdleConns, SetConnMaxLifetime, SetConnMaxIdleTime (pool_* keys are for azurepg.NewPool)")}
	}
	if d.base != nil {
		cfg.Base = *d.base
	}
	c, err := NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	c.driver = d
	return c, nil
}

// Open opens one connection. database/sql uses OpenConnector instead.
func (d Driver) Open(dsn string) (driver.Conn, error) {
	c, err := d.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	return c.Connect(context.Background())
}
