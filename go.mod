module github.com/azurepg/azurepg

go 1.25.0

require (
	github.com/Azure/azure-sdk-for-go/sdk/azcore v1.23.3 // TokenCredential, the type of every Azure credential
	github.com/Azure/azure-sdk-for-go/sdk/azidentity v1.15.0 // the credentials that azure_credential names
	github.com/DATA-DOG/go-sqlmock v1.5.2 // tests: a Base that is no PostgreSQL driver
	github.com/jackc/pgx/v5 v5.12.0 // the default base; pgproto3 in azurepgtest
	github.com/lib/pq v1.12.3 // the second base, package pq
)

require (
	github.com/Azure/azure-sdk-for-go/sdk/internal v1.13.0 // indirect
	github.com/AzureAD/microsoft-authentication-library-for-go v1.10.1 // indirect
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/kylelemons/godebug v1.1.0 // indirect
	github.com/pkg/browser v0.0.0-20240102092130-5ac0b6a4141c // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)
