// Quickstart is a plain application of bun over azurepg, and what it needs to
// run on any machine: Azure on loopback, from azurepgtest. It writes and reads
// rows from several goroutines while tokens of a few seconds rotate and
// connections come and go, and counts what happened.
//
//	make demo
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	_ "github.com/azurepg/azurepg" // registers the driver "azurepg"
)

// Reading is a row of the application's table.
type Reading struct {
	ID     int64    `bun:",pk,autoincrement"`
	Sensor string   `bun:",notnull"`
	Value  float64  `bun:",notnull"`
	Tags   []string `bun:",array"`
}

func main() {
	log.SetFlags(0)
	azure, err := azurepgtest.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	azure.Entra.SetLifetime(3 * time.Second) // Azure's live about an hour
	dsn := azure.DSN("quickstart")

	fmt.Println("An application of bun over sql.Open(\"azurepg\", dsn), with real PostgreSQL, real TLS")
	fmt.Println("and tokens of 3 seconds, each checked at login.")
	report, err := watch(azure, dsn)
	if err == nil {
		err = run(context.Background(), dsn, 8*time.Second, report)
		report.print(os.Stdout)
	}
	if closeErr := azure.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		log.Fatal(err)
	}
}

// run is the application. Nothing in it knows of tokens.
func run(ctx context.Context, dsn string, length time.Duration, report *report) error {
	sqlDB, err := sql.Open("azurepg", dsn)
	if err != nil {
		return err
	}
	db := bun.NewDB(sqlDB, pgdialect.New())
	defer db.Close()
	db.SetMaxOpenConns(8)
	db.SetConnMaxLifetime(400 * time.Millisecond) // so that logins are many
	if _, err := db.NewCreateTable().Model((*Reading)(nil)).Exec(ctx); err != nil {
		return err
	}
	var workers sync.WaitGroup
	end := time.Now().Add(length)
	for i := range 8 {
		workers.Go(func() {
			for time.Now().Before(end) {
				report.work(write(ctx, db, fmt.Sprint("sensor-", i)))
			}
		})
	}
	workers.Wait()
	report.rows, err = db.NewSelect().Model((*Reading)(nil)).Count(ctx)
	return err
}

// write stores a reading and reads the sensor's last ones back.
func write(ctx context.Context, db *bun.DB, sensor string) error {
	row := &Reading{Sensor: sensor, Value: float64(time.Now().Nanosecond()), Tags: []string{"demo", sensor}}
	if _, err := db.NewInsert().Model(row).Exec(ctx); err != nil {
		return err
	}
	var last []Reading
	return db.NewSelect().Model(&last).Where("sensor = ?", sensor).OrderExpr("id DESC").Limit(10).Scan(ctx)
}
