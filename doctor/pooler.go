package doctor

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The only file that knows a base: what database/sql does not tell of a connection.

// withPgx calls f with the connection, if it is one of pgx.
func withPgx(conn *sql.Conn, f func(*pgconn.PgConn)) {
	_ = conn.Raw(func(own any) error {
		if c, ok := own.(interface{ Conn() *pgx.Conn }); ok {
			f(c.Conn().PgConn())
		}
		return nil
	})
}

// remoteAddress is the address that was logged in to; empty: unknown.
func remoteAddress(conn *sql.Conn) (address string) {
	withPgx(conn, func(c *pgconn.PgConn) { address = c.Conn().RemoteAddr().String() })
	return address
}

// pooler tells whether PgBouncer or its like is in between: then the process that answers
// is another one than that of the login, whose number the pooler has made up.
func pooler(ctx context.Context, conn *sql.Conn) (answer string, err error) {
	var said, answers uint32
	withPgx(conn, func(c *pgconn.PgConn) { said = c.PID() })
	if said == 0 {
		return "", nil
	}
	if err := conn.QueryRowContext(ctx, "select pg_catalog.pg_backend_pid()").Scan(&answers); err != nil {
		return "", err
	}
	if said == answers {
		return "no", nil
	}
	return "yes", nil
}
