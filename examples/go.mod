// The examples have a go.mod of their own, so that what they show does not
// become a requirement of azurepg.
module github.com/azurepg/azurepg/examples

go 1.25.0

require (
	github.com/Azure/azure-sdk-for-go/sdk/azcore v1.23.3 // pgbouncer: its test's credential
	github.com/azurepg/azurepg v0.0.0
	github.com/golang-migrate/migrate/v4 v4.19.1 // pqbase: migrations; the newest that does not need a newer Go
	github.com/hashicorp/hcl/v2 v2.24.0 // aks: its test reads the Terraform files
	github.com/jackc/pgx/v5 v5.12.0 // pgbouncer: the types of the base, and its console
	github.com/jmoiron/sqlx v1.4.0 // pqbase
	github.com/lib/pq v1.12.3 // pqbase: the types of the base
	github.com/uptrace/bun v1.3.0 // the ORM of quickstart, and pqbase
	github.com/uptrace/bun/dialect/pgdialect v1.3.0 // its PostgreSQL dialect
	github.com/zclconf/go-cty v1.16.3 // aks: the values in them
	gopkg.in/yaml.v3 v3.0.1 // aks: its test reads the manifests
	gorm.io/driver/postgres v1.6.3 // pqbase: gorm's PostgreSQL dialect
	gorm.io/gorm v1.31.2 // pqbase
)

require (
	github.com/Azure/azure-sdk-for-go/sdk/azidentity v1.15.0 // indirect
	github.com/Azure/azure-sdk-for-go/sdk/internal v1.13.0 // indirect
	github.com/AzureAD/microsoft-authentication-library-for-go v1.10.1 // indirect
	github.com/agext/levenshtein v1.2.1 // indirect
	github.com/apparentlymart/go-textseg/v15 v15.0.0 // indirect
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/jinzhu/inflection v1.0.0 // indirect
	github.com/jinzhu/now v1.1.5 // indirect
	github.com/kylelemons/godebug v1.1.0 // indirect
	github.com/mitchellh/go-wordwrap v1.0.1 // indirect
	github.com/pkg/browser v0.0.0-20240102092130-5ac0b6a4141c // indirect
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	github.com/tmthrgd/go-hex v0.0.0-20190904060850-447a3041c3bc // indirect
	github.com/vmihailenco/msgpack/v5 v5.4.1 // indirect
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/mod v0.38.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	golang.org/x/tools v0.48.0 // indirect
)

replace github.com/azurepg/azurepg => ../
