// Pgx pings a server with pgx, if it is given one: the start-up cost without tokens.
package main

import (
	"database/sql"
	"log"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	db, err := sql.Open("pgx", os.Args[1])
	if err == nil {
		err = db.Ping()
	}
	if err != nil {
		log.Fatal(err)
	}
}
