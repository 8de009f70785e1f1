package azurepg_test

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/azurepg/azurepg"
)

const scope = "https://ossrdbms-aad.database.windows.net/.default"

// One token from a warm cache: azidentity's own, and azurepg's in front of it.
func BenchmarkWarmToken(b *testing.B) {
	s := sharedAzure(b)
	app := s.AddServicePrincipal("warm-app")
	secret, err := azidentity.NewClientSecretCredential(app.TenantID, app.ClientID, app.Secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: s.Entra.Transport()}})
	if err != nil {
		b.Fatal(err)
	}
	tokens := azurepg.NewTokenCache(secret, nil)
	ctx := b.Context()
	options := policy.TokenRequestOptions{Scopes: []string{scope}}
	for _, row := range []struct {
		name string
		get  func() (azcore.AccessToken, error)
	}{
		{"azidentity", func() (azcore.AccessToken, error) { return secret.GetToken(ctx, options) }},
		{"azurepg", func() (azcore.AccessToken, error) { return tokens.Token(ctx) }},
	} {
		if _, err := row.get(); err != nil {
			b.Fatal(err)
		}
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := row.get(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(row.name+", 64 goroutines", func(b *testing.B) {
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := row.get(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// One new connection, with TLS and login: pgx with the token as a fixed
// password, which is the limit, and azurepg.
func BenchmarkConnect(b *testing.B) {
	s := sharedAzure(b)
	app := s.AddServicePrincipal("bench-app")
	c := connector(b, bySecret(s, app), nil)
	if conn, err := c.Connect(b.Context()); err != nil {
		b.Fatal(err)
	} else {
		_ = conn.Close()
	}
	limit, err := pgx.ParseConfig("host=" + s.Postgres.Host + " port=" + portOf(s) +
		" dbname=postgres user=bench-app sslmode=verify-full connect_timeout=30 sslrootcert=" + s.Postgres.CAFile)
	if err != nil {
		b.Fatal(err)
	}
	tokens := s.Entra.Tokens()
	limit.Password = tokens[len(tokens)-1]
	fixed := stdlib.GetConnector(*limit)
	b.Run("pgx with a fixed password", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			conn, err := fixed.Connect(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			_ = conn.Close()
		}
	})
	b.Run("azurepg", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			conn, err := c.Connect(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			_ = conn.Close()
		}
	})
}
