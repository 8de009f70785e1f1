// Redis logs in to Azure Managed Redis or Azure Cache for Redis with Entra tokens, by
// go-redis: once, or for days.
//
//	REDIS_ADDR=mycache.redis.cache.windows.net:6380 go run ./redis hello
//	REDIS_URL=rediss://mycache.westeurope.redis.azure.net:10000 go run ./redis reauth
//
// Azure cuts a connection when the token that it logged in with ends, whatever it is doing,
// unless it has sent a newer one by AUTH. Go-redis can do that (StreamingCredentialsProvider),
// but only for connections that return to the pool: those that are idle, that wait in a
// blocking command or that are subscribed are cut. So here no connection lives as long
// as its token:
//
//   - a token is replaced 20 minutes before its end, and a connection gets one that lasts
//     for at least that long (../internal/redislogin);
//   - the pool gives up a connection after a quarter of that (ConnMaxLifetime);
//   - blocking commands have a limit, after which they are repeated;
//   - a subscription moves to a new connection and loses nothing on its way
//     (subscription.go).
//
// # Settings
//
//	REDIS_ADDR             host:port, TLS's port: 6380, of Azure Managed Redis 10000
//	REDIS_URL              or rediss://host:port/database, which has no password
//	REDIS_TLS_ENABLED      true, which is the default; nothing else will do
//	REDIS_TLS_CA_CERT      file of the authorities to trust; not set: the system's
//	REDIS_TLS_CERT_FILE    file of a client certificate, for servers that want one
//	REDIS_TLS_KEY_FILE     file of its key
//	REDIS_TLS_VERIFY_MODE  verify-full (or required), which is the default, or verify-ca
//	AZURE_CREDENTIAL       a credential by its name in a DSN; not set: default
//
// The user name is the token's object id, which nobody needs to set. The identity needs a
// data access policy on the cache; ../internal/redislogin/explain.go is what is said
// without one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/internal/brokerenv"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logger := slog.New(azurepg.NewRedactHandler(slog.NewTextHandler(os.Stderr, nil)))
	if err := run(ctx, os.Args[1:], os.Stdout, logger); err != nil {
		log.Fatal("redis: ", azurepg.Redact(err.Error()))
	}
}

func run(ctx context.Context, args []string, out io.Writer, logger *slog.Logger) error {
	if len(args) != 1 || args[0] != "hello" && args[0] != "reauth" {
		return errors.New("the command is missing: hello or reauth")
	}
	brokerenv.Show(out, append([]string{"REDIS_ADDR", "REDIS_URL"}, brokerenv.TLSNames("REDIS_")...)...)
	c, err := connect(ctx, logger)
	if err != nil {
		return err
	}
	defer c.Close()
	if args[0] == "hello" {
		err = hello(ctx, c, out)
	} else {
		err = reauth(ctx, c, out)
	}
	return c.explain(err)
}

// hello writes a key and reads it.
func hello(ctx context.Context, c *client, out io.Writer) error {
	const key = "azurepg:hello"
	if err := c.Set(ctx, key, "Hello, Redis", 0).Err(); err != nil {
		return err
	}
	value, err := c.Get(ctx, key).Result()
	if err != nil {
		return err
	}
	user, _, err := c.login.Credentials(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s, says %s\n", value, user)
	return err
}
