package doctor

import (
	"context"
	"database/sql"
	"errors"
	"maps"

	"github.com/azurepg/azurepg"
)

// logIn logs in as a program would.
func (x *examination) logIn(ctx context.Context, s *Step) error {
	cfg := x.cfg.Clone()
	if cfg.Base == nil && cfg.BaseParams["default_query_exec_mode"] == "" {
		// Through PgBouncer prepared statements get lost.
		if cfg.BaseParams = maps.Clone(cfg.BaseParams); cfg.BaseParams == nil {
			cfg.BaseParams = map[string]string{}
		}
		cfg.BaseParams["default_query_exec_mode"] = "simple_protocol"
	}
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		return err
	}
	login, err := c.Login(ctx)
	if err != nil {
		return err
	}
	s.add("user", "", login.User)
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		s.addRefusal(err)
		return errors.Join(err, db.Close())
	}
	if c.Stats().Retried > 0 {
		s.warn("the first token was refused and a new one taken", "nothing, if it happens once: tokens can be revoked")
	}
	s.add("address", "", remoteAddress(conn))
	x.db, x.conn = db, conn
	return nil
}

// addRefusal adds what the server said of the login.
func (s *Step) addRefusal(err error) {
	var server interface{ SQLState() string }
	if errors.As(err, &server) {
		s.add("sqlstate", "", server.SQLState())
	}
	var refused *azurepg.AuthError
	if errors.As(err, &refused) {
		s.add("principal", "", refused.Principal)
		if refused.Retried {
			s.add("retried", "", "a new token was refused as well")
		}
	}
}
