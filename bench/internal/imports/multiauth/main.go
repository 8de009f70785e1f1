// Multiauth pings a server with go-pgmultiauth, if it is given one.
package main

import (
	"context"
	"log"
	"os"

	"github.com/hashicorp/go-pgmultiauth"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	ctx := context.Background()
	cfg, err := pgmultiauth.DefaultConfig(ctx, os.Args[1], pgmultiauth.DefaultAuthConfigOptions{AuthMethod: pgmultiauth.AzureAuth})
	if err != nil {
		log.Fatal(err)
	}
	db, err := pgmultiauth.Open(ctx, cfg)
	if err == nil {
		err = db.Ping()
	}
	if err != nil {
		log.Fatal(err)
	}
}
