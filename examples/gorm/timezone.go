package main

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/azurepg/azurepg"
)

// located reads timestamp columns, those without time zone, as times of a place.
// gorm's own driver does so if its DSN has a TimeZone; over azurepg, as over pgx
// alone, they are read as UTC. The DSN's timezone stays the session's, on the
// server, and columns of type timestamptz need nothing of all this.
//
//	gorm.Open(postgres.New(postgres.Config{Conn: sql.OpenDB(located{connector, place})}), …)
type located struct {
	*azurepg.Connector
	place *time.Location
}

// Connect adds the place to a new connection. It is for the base pgx.
func (l located) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := l.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn.(*stdlib.Conn).Conn().TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamp", OID: pgtype.TimestampOID, Codec: &pgtype.TimestampCodec{ScanLocation: l.place},
	})
	return conn, nil
}
