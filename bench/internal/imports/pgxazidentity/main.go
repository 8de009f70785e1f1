// Pgxazidentity pings a server with pgx and a token of azidentity, if it is given one: what
// programs have that get tokens in pgx's own hook.
package main

import (
	"context"
	"log"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	cc, err := pgx.ParseConfig(os.Args[1])
	if err != nil {
		log.Fatal("the DSN cannot be read")
	}
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	db := stdlib.OpenDB(*cc, stdlib.OptionBeforeConnect(func(ctx context.Context, cc *pgx.ConnConfig) error {
		t, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://ossrdbms-aad.database.windows.net/.default"}})
		cc.Password = t.Token
		return err
	}))
	if err := db.Ping(); err != nil {
		log.Fatal(err)
	}
}
