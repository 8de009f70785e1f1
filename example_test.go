package azurepg_test

import (
	"context"
	"database/sql"
	"errors"
	"expvar"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib" // which also registers "pgx", for local development

	"github.com/azurepg/azurepg"
)

// What a DSN cannot say is set in a Config.
func ExampleNewConnector() {
	cfg, err := azurepg.ParseDSN("postgres://app@mydb.postgres.database.azure.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	cfg.Logger = slog.Default()
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector) // which dials nothing yet
	defer db.Close()
	fmt.Println(connector)
	// Output: azurepg.Connector(1 host(s), azurepg.TokenCache(default, https://ossrdbms-aad.database.windows.net/.default))
}

func ExampleNewPool() {
	ctx := context.Background()
	pool, err := azurepg.NewPool(ctx, "postgres://app@mydb.postgres.database.azure.com/shop?pool_max_conns=20")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	fmt.Println("at most", pool.Config().MaxConns, "connections, now", pool.Stat().TotalConns())
	// Output: at most 20 connections, now 0
}

// A pgxpool.Config of one's own gets its logins from a Connector.
func ExampleConnector_BeforeConnect() {
	cfg, err := azurepg.ParseDSN("postgres://app@mydb.postgres.database.azure.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		log.Fatal(err)
	}
	config, err := pgxpool.ParseConfig("dbname=shop pool_max_conns=20")
	if err != nil {
		log.Fatal(err)
	}
	config.BeforeConnect = connector.BeforeConnect
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
}

// A cache in front of a credential of one's own, for another service, here Azure Cache
// for Redis.
func ExampleNewTokenCache() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	tokens := azurepg.NewTokenCache(credential, &azurepg.TokenCacheOptions{Scope: "https://redis.azure.com/.default"})
	token, err := tokens.Token(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("valid until", token.ExpiresOn)
}

// The cache of an identity serves other services as well, here Azure Cache for Redis:
// the whole process shares it, as it does those of databases.
func ExampleConfig_TokenCache() {
	cfg := &azurepg.Config{AzureCredential: "managed_identity", Scope: "https://redis.azure.com/.default"}
	tokens, err := cfg.TokenCache() // which fetches nothing yet
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tokens)
	// Output: azurepg.TokenCache(managed_identity, https://redis.azure.com/.default)
}

// A database on the developer's machine has a password, which azurepg does not
// take. So the driver's name comes from the environment, with the DSN.
func Example_localDevelopment() {
	driver := os.Getenv("DB_DRIVER") // "pgx" on the developer's machine
	if driver == "" {
		driver = azurepg.DriverName
	}
	db, err := sql.Open(driver, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
}

// Errors say what to do, and carry what a program may want to know.
func ExampleTokenError() {
	db, err := sql.Open("azurepg", "postgres://app@mydb.postgres.database.azure.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	err = db.Ping()
	var noToken *azurepg.TokenError
	var refused *azurepg.AuthError
	switch {
	case errors.As(err, &refused): // first: it can hold a TokenError too
		fmt.Println("PostgreSQL:", refused.SQLState, "the token is of", refused.Principal)
	case errors.As(err, &noToken):
		fmt.Println("Entra:", noToken.Code, "try again:", noToken.Temporary)
	}
}

// An operator wants to see the counters: those of the connector, and of its
// token cache.
func ExampleConnector_Stats() {
	cfg, err := azurepg.ParseDSN("postgres://app@mydb.postgres.database.azure.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		log.Fatal(err)
	}
	expvar.Publish("azurepg", expvar.Func(func() any { return connector.Stats() }))
	db := sql.OpenDB(connector)
	defer db.Close()
	fmt.Println(expvar.Get("azurepg")) // as /debug/vars shows it
	// Output: {"Opened":0,"Failed":0,"Refused":0,"Retried":0,"Tokens":{"Fetches":0,"Refreshes":0,"Failures":0,"Forced":0}}
}

// Raw reaches pgx's own connection, here for COPY.
func ExampleConnector_raw() {
	ctx := context.Background()
	db, err := sql.Open("azurepg", "postgres://app@mydb.postgres.database.azure.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		rows := pgx.CopyFromRows([][]any{{1, "one"}, {2, "two"}})
		_, err := c.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{"numbers"}, []string{"n", "name"}, rows)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}

// LISTEN waits on one connection of pgx's own, for as long as that lasts; the next
// one logs in with a token that is valid then. (With lib/pq as the base: see
// package pq.)
func ExampleConnector_listen() {
	ctx := context.Background()
	db, err := sql.Open("azurepg", "postgres://app@mydb.postgres.database.azure.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		own := c.(*stdlib.Conn).Conn()
		if _, err := own.Exec(ctx, "listen orders"); err != nil {
			return err
		}
		for {
			note, err := own.WaitForNotification(ctx)
			if err != nil {
				return err
			}
			fmt.Println(note.Channel, note.Payload)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
}
