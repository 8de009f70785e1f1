package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/azurepg/azurepg"
)

var tokenCommand = command{
	name: "token", args: "[DSN]", summary: "prints an access token, for PGPASSWORD",
	help: `
The token is the password of one login or more until its end, about an hour later. Nothing
but the token goes to standard output:

	PGPASSWORD=$(azurepg token 'postgres://app@mydb.postgres.database.azure.com/shop')

Whoever sees it can log in as you until then. For psql there is azurepg psql, which shows it
to nobody. Without a DSN and PGHOST the token is of the identity that the AZURE_* variables
describe, for any server of the public cloud.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *streams, []string) error {
		asJSON := flags.Bool("json", false, `print {"token": …, "expires_on": …, "user": …}; the user, which is the role, only where there is a server`)
		return func(ctx context.Context, std *streams, args []string) error {
			t, err := fetchToken(ctx, args)
			if err != nil {
				return err
			}
			if *asJSON {
				encoder := json.NewEncoder(std.out)
				encoder.SetEscapeHTML(false)
				return encoder.Encode(t)
			}
			_, err = fmt.Fprintln(std.out, t.Token)
			return err
		}
	},
}

// printedToken is what -json prints. Its token is meant to be seen.
type printedToken struct {
	Token     string    `json:"token"`
	ExpiresOn time.Time `json:"expires_on"`
	User      string    `json:"user,omitempty"`
}

func fetchToken(ctx context.Context, args []string) (printedToken, error) {
	dsn, err := dsnArgument(args)
	if err != nil {
		return printedToken{}, err
	}
	cfg, err := azurepg.ParseDSN(dsn)
	var setting *azurepg.DSNError
	if len(args) == 0 && errors.As(err, &setting) && setting.Key == "host" && os.Getenv("PGHOST") == "" {
		return databaseToken(ctx)
	}
	if err != nil {
		return printedToken{}, err
	}
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		return printedToken{}, err
	}
	login, err := c.Login(ctx)
	if err != nil {
		return printedToken{}, err
	}
	return printedToken{string(login.Password), c.Stats().Tokens.ExpiresOn.UTC(), login.User}, nil
}

// databaseToken is a token for no server in particular.
func databaseToken(ctx context.Context) (printedToken, error) {
	tokens, err := new(azurepg.Config).TokenCache()
	if err != nil {
		return printedToken{}, err
	}
	token, err := tokens.Token(ctx)
	return printedToken{Token: token.Token, ExpiresOn: token.ExpiresOn.UTC()}, err
}
