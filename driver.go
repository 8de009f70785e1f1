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
