// Soak uses azurepg for a while as busy applications do, while everything
// around it fails at random, and says what came of it:
//
//	make soak
//	make soak SOAK="-for 3m -seed 7"
//
// It needs what make test needs. It fails if an error is met that no fault
// explains, if an acknowledged row is missing, if anything is left open at the end,
// or if the memory in use has grown since the first minute.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

func main() {
	log.SetFlags(0)
	length := flag.Duration("for", 10*time.Minute, "how long")
	seed := flag.Uint64("seed", rand.Uint64(), "of the faults")
	flag.Parse()
	if err := soak(os.Stdout, *length, *seed); err != nil {
		log.Fatal("soak: ", err)
	}
}

// soak starts Azure on loopback and runs everything on it.
func soak(out io.Writer, length time.Duration, seed uint64) error {
	azure, err := azurepgtest.New(nil)
	if err != nil {
		return err
	}
	azure.Entra.SetLifetime(3 * time.Second) // Azure's live about an hour
	err = run(out, azure, length, seed)
	return errors.Join(err, azure.Close())
}

func run(out io.Writer, azure *azurepgtest.Server, length time.Duration, seed uint64) error {
	fmt.Fprintf(out, "%d workers over pgx, lib/pq and pgxpool for %v; seed %d\n", workersOfAPool*3, length, seed)
	dsn := azure.DSN("soak")
	ctx := context.Background()
	if err := azure.Postgres.Exec(ctx, "create table rows (worker text, n bigint); grant insert, select on rows to soak"); err != nil {
		return err
	}
	before, err := inUse(azure)
	if err != nil {
		return err
	}
	pools, err := openPools(ctx, dsn)
	if err != nil {
		return err
	}
	r := newReport(azure, pools, seed, length)
	working, rest := context.WithTimeout(ctx, length)
	defer rest()
	faults := &switchboard{azure: azure, random: rand.New(rand.NewPCG(seed, 0))}
	done := startWorkers(working, pools, r, faults)
	go r.progress(working, out, faults)
	err = faults.run(working)
	<-done
	if err == nil {
		err = r.finish(ctx, faults)
	}
	for _, p := range pools {
		p.close()
	}
	if err != nil {
		return err
	}
	if r.left, err = awaitNoMore(azure, before); err != nil {
		return err
	}
	r.print(out)
	return r.verdict()
}
