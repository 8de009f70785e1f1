// Azurepgpq pings a server with azurepg over lib/pq, if it is given one.
package main

import (
	"database/sql"
	"log"
	"os"

	_ "github.com/azurepg/azurepg/pq"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	db, err := sql.Open("azurepg-pq", os.Args[1])
	if err == nil {
		err = db.Ping()
	}
	if err != nil {
		log.Fatal(err)
	}
}
