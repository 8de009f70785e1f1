package pqbase

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4"
	"github.com/lib/pq"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/azurepg/azurepg/azurepgtest"
)

// Article is a row of the table that the migrations make.
type Article struct {
	ID   int64
	Name string         `gorm:"unique"`
	Tags pq.StringArray `gorm:"type:text[]" bun:"tags,array"`
}

var migrations = fstest.MapFS{
	"1_articles.up.sql": {Data: []byte(`create table articles (id bigserial primary key, name text not null constraint uni_articles_name unique, tags text[])`)},
	"2_first.up.sql":    {Data: []byte(`insert into articles (name, tags) values ('first', '{a,b}')`)},
}

func TestFourLibrariesWorkOverLibPq(t *testing.T) {
	azure := azurepgtest.Start(t)
	azure.AddServicePrincipal("shop")
	dsn := azure.DSN("shop")

	t.Run("golang-migrate", func(t *testing.T) {
		if err := Migrate(dsn, migrations); err != nil {
			t.Fatal(err)
		}
		if err := Migrate(dsn, migrations); !errors.Is(err, migrate.ErrNoChange) {
			t.Errorf("again: %v; want ErrNoChange", err)
		}
	})
	t.Run("sqlx", func(t *testing.T) { useSQLX(t, dsn) })
	t.Run("gorm", func(t *testing.T) { useGORM(t, dsn) })
	t.Run("bun", func(t *testing.T) { useBun(t, dsn) })
	if n := azure.Entra.TokenRequests(); n != 1 {
		t.Errorf("%d token requests; want 1 for all", n)
	}
}

func useSQLX(t *testing.T, dsn string) {
	db, err := OpenSQLX(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	article := Article{Name: "by sqlx", Tags: pq.StringArray{"x"}}
	if _, err := db.NamedExec(`insert into articles (name, tags) values (:name, :tags)`, article); err != nil {
		t.Fatal(err)
	}
	var found []Article
	if err := db.Select(&found, `select id, name, tags from articles where name = any($1) order by id`, pq.Array([]string{"first", "by sqlx"})); err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || len(found[0].Tags) != 2 || found[1].Tags[0] != "x" {
		t.Errorf("found %+v", found)
	}
	_, err = db.NamedExec(`insert into articles (name) values (:name)`, article)
	if e, ok := err.(*pq.Error); !ok || e.Code.Name() != "unique_violation" {
		t.Errorf("got %T %v; want lib/pq's own unique_violation", err, err)
	}
}

func useGORM(t *testing.T, dsn string) {
	db, err := OpenGORM(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db = db.Session(&gorm.Session{Logger: logger.Discard})
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := db.AutoMigrate(&Article{}); err != nil {
		t.Fatal(err)
	}
	article := Article{Name: "by gorm", Tags: pq.StringArray{"g", "h"}}
	if err := db.Create(&article).Error; err != nil || article.ID == 0 {
		t.Fatalf("id %d, %v", article.ID, err)
	}
	var found Article
	if err := db.First(&found, "name = ?", "by gorm").Error; err != nil || found.ID != article.ID || len(found.Tags) != 2 {
		t.Errorf("found %+v, %v", found, err)
	}
	if err := db.Create(&Article{Name: "by gorm"}).Error; !errors.Is(err, gorm.ErrDuplicatedKey) {
		t.Errorf("got %v; want ErrDuplicatedKey", err)
	}
}

func useBun(t *testing.T, dsn string) {
	db, err := OpenBun(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	article := &Article{Name: "by bun", Tags: pq.StringArray{"b"}}
	if _, err := db.NewInsert().Model(article).ExcludeColumn("id").Returning("id").Exec(t.Context()); err != nil || article.ID == 0 {
		t.Fatalf("id %d, %v", article.ID, err)
	}
	found := new(Article)
	if err := db.NewSelect().Model(found).Where("name = ?", "by bun").Scan(t.Context()); err != nil || found.ID != article.ID || found.Tags[0] != "b" {
		t.Errorf("found %+v, %v", found, err)
	}
	_, err = db.NewInsert().Model(article).ExcludeColumn("id").Exec(t.Context())
	var e *pq.Error
	if !errors.As(err, &e) || e.Code.Name() != "unique_violation" {
		t.Errorf("got %T %v; want lib/pq's unique_violation", err, err)
	}
}
