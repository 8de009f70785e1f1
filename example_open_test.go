package azurepg_test

import (
	"database/sql"
	"fmt"
	"log"
	"time"
)

import _ "github.com/azurepg/azurepg"

// A program that runs on Azure needs one line: the identity comes from the
// environment, the token from Entra.
func Example() {
	db, err := sql.Open("azurepg", "postgres://app@mydb.postgres.database.azure.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetConnMaxLifetime(30 * time.Minute)

	var version string
	if err := db.QueryRow("select version()").Scan(&version); err != nil {
		log.Fatal(err)
	}
	fmt.Println(version)
}
