// Pgxpool logs pools of pgx in with tokens, in the three ways there are, and uses
// what pgx can do beyond database/sql: COPY, batches, LISTEN and NOTIFY. It makes a
// table and drops it again.
//
//	go run ./pgxpool 'postgres://app@mydb.postgres.database.azure.com/shop?pool_max_conns=4'
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, dsn, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run uses a pool of each way, one after the other.
func run(ctx context.Context, dsn string, out io.Writer) error {
	for _, way := range ways {
		pool, err := way.open(ctx, dsn)
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		heard, sum, err := use(ctx, pool)
		pool.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		fmt.Fprintf(out, "%s: %d rows copied, their sum is %d, heard %q\n", way.name, rows, sum, heard)
	}
	return nil
}
