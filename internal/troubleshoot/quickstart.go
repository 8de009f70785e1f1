package main

import (
	"database/sql"

	_ "github.com/azurepg/azurepg"
)

func quickStart(dsn string) (user string, err error) {
	db, err := sql.Open("azurepg", dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRow("select current_user").Scan(&user)
	return user, err
}
