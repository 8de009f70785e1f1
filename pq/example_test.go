package pq_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"time"

	libpq "github.com/lib/pq"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/pq"
)

// The driver's name chooses the base.
func Example() {
	db, err := sql.Open("azurepg-pq", "postgres://app@mydb.postgres.database.azure.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	rows, err := db.Query("select name from articles where id = any($1)", libpq.Array([]int{1, 2, 3}))
	if err != nil {
		log.Fatal(err)
	}
	defer rows.Close()
}

// LISTEN with lib/pq: the handler hears what has come whenever a statement is
// answered, so the loop pings. pq.Listener would keep the token that it began with.
func ExampleBase_listen() {
	ctx := context.Background()
	cfg, err := azurepg.ParseDSN("postgres://app@mydb.postgres.database.azure.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	cfg.Base = pq.Base
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(libpq.ConnectorWithNotificationHandler(connector, func(n *libpq.Notification) {
		fmt.Println(n.Channel, n.Extra)
	}))
	defer db.Close()

	conn, err := db.Conn(ctx) // one and the same, as long as it lasts
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "listen orders"); err != nil {
		log.Fatal(err)
	}
	for range time.Tick(time.Second) {
		if err := conn.PingContext(ctx); err != nil {
			log.Fatal(err) // or take a new connection, which logs in with a new token
		}
	}
}
