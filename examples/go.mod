// The examples have a go.mod of their own, so that what they show does not
// become a requirement of azurepg.
module github.com/azurepg/azurepg/examples

go 1.25.0

require (
	entgo.io/ent v0.14.6 // ent, and what its generated code needs
	github.com/Azure/azure-sdk-for-go/sdk/azcore v1.23.3 // credentials, pgbouncer: their types
	github.com/Azure/azure-sdk-for-go/sdk/azidentity v1.15.0 // credentials: those that no DSN can name
	github.com/DATA-DOG/go-sqlmock v1.5.2 // sqlmock: a base for unit tests
	github.com/XSAM/otelsql v0.44.0 // otelsql: OpenTelemetry for database/sql
	github.com/azurepg/azurepg v0.0.0
	github.com/golang-jwt/jwt/v5 v5.3.1 // internal/brokertest: checks tokens as Azure Redis does
	github.com/golang-migrate/migrate/v4 v4.19.1 // migrate; the newest that does not need a newer Go
	github.com/hashicorp/hcl/v2 v2.24.0 // aks: its test reads the Terraform files
	github.com/jackc/pgx/v5 v5.12.0 // gorm's time zones, sqlmock and pgxpool: types of the base
	github.com/jmoiron/sqlx v1.4.0 // sqlx
	github.com/lib/pq v1.12.3 // its StringArray, which pgx reads and writes too
	github.com/pressly/goose/v3 v3.27.0 // goose; the newest that does not need a newer Go
	github.com/rabbitmq/amqp091-go v1.16.0 // rabbitmq, celery-worker
	github.com/redis/go-redis/v9 v9.22.0 // redis, celery-worker; the newest that does not need a newer Go
	github.com/riverqueue/river v0.44.1 // river; the newest that does not need a newer Go
	github.com/riverqueue/river/riverdriver/riverpgxv5 v0.44.1 // its driver for pgxpool
	github.com/uptrace/bun v1.3.0 // the ORM of quickstart, and bun
	github.com/uptrace/bun/dialect/pgdialect v1.3.0 // its PostgreSQL dialect
	github.com/uptrace/bun/driver/pgdriver v1.2.18 // moving: bun's own driver, before
	github.com/zclconf/go-cty v1.16.3 // aks: the values in them
	go.opentelemetry.io/otel v1.46.0 // otelsql: attributes
	go.opentelemetry.io/otel/sdk v1.46.0 // otelsql: a tracer
	gopkg.in/yaml.v3 v3.0.1 // internal/manifest: tests of aks and celery-python read theirs
	gorm.io/driver/postgres v1.6.3 // gorm's PostgreSQL dialect
	gorm.io/gorm v1.31.2 // gorm
)

require (
	ariga.io/atlas v0.36.2-0.20250730182955-2c6300d0a3e1 // indirect
	github.com/Azure/azure-sdk-for-go/sdk/internal v1.13.0 // indirect
	github.com/AzureAD/microsoft-authentication-library-for-go v1.10.1 // indirect
	github.com/agext/levenshtein v1.2.3 // indirect
	github.com/apparentlymart/go-textseg/v15 v15.0.0 // indirect
	github.com/bmatcuk/doublestar v1.3.4 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/go-openapi/inflect v0.19.0 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/jackc/pgerrcode v0.0.0-20240316143900-6e2875d9b438 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/jinzhu/inflection v1.0.0 // indirect
	github.com/jinzhu/now v1.1.5 // indirect
	github.com/kylelemons/godebug v1.1.0 // indirect
	github.com/mfridman/interpolate v0.0.2 // indirect
	github.com/mitchellh/go-wordwrap v1.0.1 // indirect
	github.com/pkg/browser v0.0.0-20240102092130-5ac0b6a4141c // indirect
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	github.com/riverqueue/river/riverdriver v0.44.1 // indirect
	github.com/riverqueue/river/rivershared v0.44.1 // indirect
	github.com/riverqueue/river/rivertype v0.44.1 // indirect
	github.com/sethvargo/go-retry v0.3.0 // indirect
	github.com/tidwall/gjson v1.19.0 // indirect
	github.com/tidwall/match v1.2.0 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	github.com/tmthrgd/go-hex v0.0.0-20190904060850-447a3041c3bc // indirect
	github.com/vmihailenco/msgpack/v5 v5.4.1 // indirect
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
	github.com/zclconf/go-cty-yaml v1.1.0 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel/metric v1.46.0 // indirect
	go.opentelemetry.io/otel/trace v1.46.0 // indirect
	go.uber.org/atomic v1.11.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/mod v0.40.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	golang.org/x/tools v0.49.0 // indirect
	mellium.im/sasl v0.3.2 // indirect
)

replace github.com/azurepg/azurepg => ../
