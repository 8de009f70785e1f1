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
	db := sql.OpenDB(connector)
	defer db.Close()
}

func ExampleNewPool() {
	ctx := context.Background()
	pool, err := azurepg.NewPool(ctx, "postgres://app@mydb.postgres.database.azure.com/shop?pool_max_conns=20")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
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

// The same cache serves other services, here Azure Cache for Redis.
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

func ExampleRedact() {
	fmt.Println(azurepg.Redact("dialling postgres://app:s3cret@db.example.com/shop"))
	// Output: dialling postgres://app:[redacted]@db.example.com/shop
}
