// Gorm is gorm over azurepg, through a pool given to gorm as Conn.
//
// What differs from gorm's own way to open pgx, postgres.Open:
//
// PreferSimpleProtocol has no effect. default_query_exec_mode=simple_protocol in the
// DSN has it. TimeZone in the DSN is the session's time zone and no more: see
// timezone.go.
//
// With DriverName "azurepg" in place of Conn gorm does not know that it speaks to pgx,
// and prepares the queries of its migrator: AutoMigrate of a table that has changed
// since the same connection last saw it fails ("cached plan must not change result
// type", 0A000). With Conn, lib/pq has to be told of, by DriverName "azurepg-pq" beside it.
//
//	go run ./gorm 'postgres://app@mydb.postgres.database.azure.com/shop'
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/lib/pq"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/azurepg/azurepg"
)

// Article has an array and a jsonb column.
type Article struct {
	ID      int64
	Name    string         `gorm:"uniqueIndex"`
	Tags    pq.StringArray `gorm:"type:text[]"` // works over pgx too
	Details map[string]any `gorm:"type:jsonb;serializer:json"`
}

// TableName is read by gorm.
func (Article) TableName() string { return "gorm_articles" }

func main() {
	dsn := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	pool, err := sql.Open(azurepg.DriverName, dsn)
	if err != nil {
		log.Fatal(err)
	}
	db, err := open(postgres.Config{Conn: pool})
	if err != nil {
		log.Fatal(err)
	}
	lamp, err := use(context.Background(), db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lamp.Name, lamp.Tags, lamp.Details)
}

// open returns gorm's DB. gorm.Open writes into its Config, so each DB has its own. The
// logger is silent because the duplicate below is on purpose.
func open(dialect postgres.Config) (*gorm.DB, error) {
	return gorm.Open(postgres.New(dialect), &gorm.Config{TranslateError: true, Logger: logger.Discard})
}

// use replaces an article in a transaction, tries to add it again, and reads it.
func use(ctx context.Context, db *gorm.DB) (*Article, error) {
	db = db.WithContext(ctx)
	if err := db.AutoMigrate(&Article{}); err != nil {
		return nil, err
	}
	lamp := &Article{Name: "lamp", Tags: pq.StringArray{"light", "new"}, Details: map[string]any{"watt": 9}}
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Delete(&Article{}, "name = ?", lamp.Name).Error; err != nil {
			return err
		}
		return tx.Create(lamp).Error
	})
	if err != nil {
		return nil, err
	}
	if err := db.Create(&Article{Name: "lamp"}).Error; !errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, fmt.Errorf("a second lamp: %v; want gorm's duplicated key", err)
	}
	found := new(Article)
	err = db.First(found, "? = any(tags) and details->>'watt' = '9'", "light").Error
	return found, err
}
