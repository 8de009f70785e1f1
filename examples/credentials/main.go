// Credentials logs in with a credential that no DSN can name: a person at a
// browser, a person with a device code, or the service connection of a pipeline.
//
//	go run ./credentials -login browser 'postgres://mydb.postgres.database.azure.com/shop'
//
// docs/credentials.md lists all credentials of azidentity.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/azurepg/azurepg"
)

func main() {
	log.SetFlags(0)
	login := flag.String("login", "device", "browser, device or pipelines")
	flag.Parse()
	dsn := os.Getenv("DATABASE_URL")
	if flag.NArg() > 0 {
		dsn = flag.Arg(0)
	}
	build, ok := credentials[*login]
	if !ok {
		log.Fatal("-login must be browser, device or pipelines")
	}
	cred, err := build(azcore.ClientOptions{})
	if err == nil {
		err = run(context.Background(), dsn, cred, os.Stdout)
	}
	if err != nil {
		log.Fatal(azurepg.Redact(err.Error()))
	}
}

// open is sql.Open with a credential.
func open(ctx context.Context, dsn string, cred azcore.TokenCredential) (*sql.DB, error) {
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if p, ok := cred.(person); ok {
		// A person needs longer than azure_token_timeout gives a fetch.
		if _, err := p.Authenticate(ctx, &policy.TokenRequestOptions{Scopes: []string{cfg.Scope}}); err != nil {
			return nil, err
		}
	}
	cfg.Credential = cred
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// run says who it is to PostgreSQL.
func run(ctx context.Context, dsn string, cred azcore.TokenCredential, out io.Writer) (err error) {
	db, err := open(ctx, dsn, cred)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var user string
	if err := db.QueryRowContext(ctx, "select current_user").Scan(&user); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "logged in as", user)
	return err
}
