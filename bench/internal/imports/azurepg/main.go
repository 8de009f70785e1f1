// Azurepg pings a server with azurepg, if it is given one.
package main

import (
	"database/sql"
	"log"
	"os"

	_ "github.com/azurepg/azurepg"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	db, err := sql.Open("azurepg", os.Args[1])
	if err == nil {
		err = db.Ping()
	}
	if err != nil {
		log.Fatal(err)
	}
}
