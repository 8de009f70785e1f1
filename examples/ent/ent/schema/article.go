// Package schema is what ent's code is generated from.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"github.com/lib/pq"
)

// Article has an array and a jsonb column.
type Article struct{ ent.Schema }

// Annotations name the table.
func (Article) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Table("ent_articles")}
}

// Fields are the columns.
func (Article) Fields() []ent.Field {
	return []ent.Field{
		field.String("name").Unique(),
		field.Other("tags", pq.StringArray{}).SchemaType(map[string]string{dialect.Postgres: "text[]"}), // works over pgx too
		field.JSON("details", map[string]any{}),
	}
}
