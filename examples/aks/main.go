// Aks is a program for a pod with workload identity: it makes a table, inserts three
// records, reads them back and prints them. README.md has the steps to run it in AKS.
//
//	DBHOST=mydb.postgres.database.azure.com DBUSER=shop DBNAME=shop go run ./aks
package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/azurepg/azurepg"
)

func main() {
	log.SetFlags(0)
	if err := start(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func start(ctx context.Context, out io.Writer) error {
	cfg, err := config()
	if err != nil {
		return err
	}
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return run(ctx, db, out)
}

// config takes the server from the pod's manifest. The AZURE_ variables of the webhook
// are for the credential, which reads them itself. By hand a DSN will do, as the first
// argument or in DATABASE_URL.
func config() (*azurepg.Config, error) {
	if len(os.Args) > 1 {
		return azurepg.ParseDSN(os.Args[1])
	}
	if dsn := os.Getenv("DATABASE_URL"); dsn != "" {
		return azurepg.ParseDSN(dsn)
	}
	for _, name := range []string{"DBHOST", "DBUSER", "DBNAME"} {
		if os.Getenv(name) == "" {
			return nil, fmt.Errorf("%s is not set", name)
		}
	}
	port, err := strconv.ParseUint(cmp.Or(os.Getenv("DBPORT"), "5432"), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("DBPORT is no port")
	}
	return &azurepg.Config{
		Hosts:           []azurepg.Host{{Name: os.Getenv("DBHOST"), Port: uint16(port)}},
		User:            os.Getenv("DBUSER"),
		Database:        os.Getenv("DBNAME"),
		AzureCredential: "workload_identity",
	}, nil
}

// run may be repeated: what is there already stays.
func run(ctx context.Context, db *sql.DB, out io.Writer) error {
	if _, err := db.ExecContext(ctx, "create table if not exists planets (id int primary key, name text not null)"); err != nil {
		return err
	}
	for id, name := range []string{"Mercury", "Venus", "Earth"} {
		if _, err := db.ExecContext(ctx, "insert into planets values ($1, $2) on conflict do nothing", id+1, name); err != nil {
			return err
		}
	}
	rows, err := db.QueryContext(ctx, "select id, name from planets order by id")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		fmt.Fprintln(out, id, name)
	}
	return rows.Err()
}
