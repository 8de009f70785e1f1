package azurepg_test

import (
	"database/sql"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/azurepg/azurepg"
)

func ExampleRedact() {
	fmt.Println(azurepg.Redact("dialling postgres://app:s3cret@db.example.com/shop"))
	// Output: dialling postgres://app:[redacted]@db.example.com/shop
}

// What an application logs of others may hold a secret. The handler takes it out.
func ExampleNewRedactHandler() {
	text := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	logger := slog.New(azurepg.NewRedactHandler(text))
	logger.Warn("cannot migrate", "url", "postgres://app:s3cret@db.example.com/shop")
	// Output: level=WARN msg="cannot migrate" url=postgres://app:[redacted]@db.example.com/shop
}

// A DSN means the same whatever the base driver is.
func ExampleParseDSN() {
	cfg, err := azurepg.ParseDSN("postgres://alice@contoso.com@mydb.postgres.database.azure.com/shop?sslmode=require&search_path=sales")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cfg.User, cfg.Hosts[0].Name, cfg.Database)
	fmt.Println(cfg.RuntimeParams["search_path"], cfg.SSLMode, cfg.RefreshAhead)
	// Output:
	// alice@contoso.com mydb.postgres.database.azure.com shop
	// sales verify-full 5m0s
}

// The text of an error names the setting, never its value.
func ExampleDSNError() {
	_, err := sql.Open("azurepg", "postgres://app:s3cret@mydb.postgres.database.azure.com/shop")
	var setting *azurepg.DSNError
	fmt.Println(errors.As(err, &setting), setting.Key, errors.Is(err, azurepg.ErrPasswordInDSN))
	fmt.Println(err)
	// Output:
	// true password true
	// azurepg: password: a password is given, but azurepg logs in with Entra tokens only: remove it
}
