package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/hashicorp/go-pgmultiauth"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	libpq "github.com/lib/pq"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/pq"
)

const scope = "https://ossrdbms-aad.database.windows.net/.default"

// The names of the ways.
const (
	pgxLimit   = "pgx, the token as a fixed password"
	pgxAgain   = "the same again (A/A: the noise)"
	viaAzurepg = "azurepg"
	pqLimit    = "lib/pq, the token as a fixed password"
	pqAgain    = "lib/pq again (A/A: the noise)"
	viaPq      = "azurepg over lib/pq"
	bySecret   = "azidentity at each connect: client secret"
	byWorkload = "azidentity at each connect: workload identity"
	byManaged  = "azidentity at each connect: managed identity"
	byCLI      = "azidentity at each connect: Azure CLI"
	multiauth  = "hashicorp/go-pgmultiauth v1.0.0"
	anew       = "a new credential for each connection"
)

// A way is one way to log in to PostgreSQL with tokens.
type way struct {
	name  string
	limit string // the way that it is compared with
	slow  bool   // half a second for each token, one after the other

	// open makes it anew, with nothing cached.
	open func() (driver.Connector, error)
}

// ways are all of them, for id.
func (a *azure) ways(id identities) []way {
	return []way{
		{name: pgxLimit, limit: pgxLimit, open: func() (driver.Connector, error) { return a.pgxFixed(id) }},
		{name: pgxAgain, limit: pgxLimit, open: func() (driver.Connector, error) { return a.pgxFixed(id) }},
		{name: viaAzurepg, limit: pgxLimit, open: func() (driver.Connector, error) { return a.azurepg(id, nil) }},
		{name: pqLimit, limit: pqLimit, open: func() (driver.Connector, error) { return a.pqFixed(id) }},
		{name: pqAgain, limit: pqLimit, open: func() (driver.Connector, error) { return a.pqFixed(id) }},
		{name: viaPq, limit: pqLimit, open: func() (driver.Connector, error) { return a.azurepg(id, pq.Base) }},
		{name: bySecret, limit: pgxLimit, open: a.hooked(id.app.Name, secretOf(id.app, nil))},
		{name: byWorkload, limit: pgxLimit, open: a.hooked(id.app.Name, workloadOf(id.app))},
		{name: byManaged, limit: pgxLimit, open: a.hooked(id.managed.Name, managedOf(id.managed))},
		{name: byCLI, limit: pgxLimit, slow: true, open: a.hooked(user, cliOf)},
		{name: multiauth, limit: pgxLimit, open: func() (driver.Connector, error) { return a.multiauth(id.app.Name, secretOf(id.app, nil)) }},
		{name: anew, limit: pgxLimit, open: func() (driver.Connector, error) { return a.anew(id.app.Name, secretOf(id.app, nil)) }},
	}
}

// newCredential makes a credential with nothing cached.
type newCredential func() (azcore.TokenCredential, error)

// secretOf is the credential of app's secret; a policy may be nil.
func secretOf(app App, p policy.Policy) newCredential {
	return func() (azcore.TokenCredential, error) {
		o := new(azidentity.ClientSecretCredentialOptions)
		if p != nil {
			o.PerRetryPolicies = []policy.Policy{p}
		}
		return azidentity.NewClientSecretCredential(app.TenantID, app.ClientID, app.Secret, o)
	}
}

func workloadOf(app App) newCredential {
	return func() (azcore.TokenCredential, error) {
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			TenantID: app.TenantID, ClientID: app.ClientID, TokenFilePath: app.FederatedTokenFile})
	}
}

func managedOf(app App) newCredential {
	return func() (azcore.TokenCredential, error) {
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(app.ClientID)})
	}
}

func cliOf() (azcore.TokenCredential, error) { return azidentity.NewAzureCLICredential(nil) }

func getToken(ctx context.Context, c azcore.TokenCredential) (string, error) {
	t, err := c.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	return t.Token, err
}

// dsn is the server, in the form that pgx and lib/pq share. Its certificate is one that
// the system trusts, as that of Azure's.
func (a *azure) dsn(user string) string {
	return fmt.Sprintf("host=%s port=%s dbname=postgres user='%s' sslmode=verify-full connect_timeout=30", a.Host, a.Port, user)
}

func (a *azure) pgxFixed(id identities) (driver.Connector, error) {
	cc, err := pgx.ParseConfig(a.dsn(id.app.Name))
	if err != nil {
		return nil, err
	}
	cc.Password = id.token
	return stdlib.GetConnector(*cc), nil
}

func (a *azure) pqFixed(id identities) (driver.Connector, error) {
	return libpq.NewConnector(a.dsn(id.app.Name) + " password=" + id.token)
}

// azurepgURL is the DSN of azurepg.
func (a *azure) azurepgURL(id identities) string {
	q := url.Values{
		"azure_credential": {"client_secret"}, "azure_tenant_id": {id.app.TenantID},
		"azure_client_id": {id.app.ClientID}, "azure_client_secret": {id.app.Secret},
	}
	u := url.URL{Scheme: "postgres", User: url.User(id.app.Name), Host: a.Host + ":" + a.Port, Path: "/postgres", RawQuery: q.Encode()}
	return u.String()
}

// azurepg is a Connector for id's client secret. A nil base is pgx.
func (a *azure) azurepg(id identities, base azurepg.Base) (*azurepg.Connector, error) {
	cfg, err := azurepg.ParseDSN(a.azurepgURL(id))
	if err != nil {
		return nil, err
	}
	cfg.Base = base
	return azurepg.NewConnector(cfg)
}

// hooked is pgx's own hook with a credential that is kept.
func (a *azure) hooked(user string, credential newCredential) func() (driver.Connector, error) {
	return func() (driver.Connector, error) {
		cred, err := credential()
		if err != nil {
			return nil, err
		}
		return a.withPassword(user, func(ctx context.Context) (string, error) { return getToken(ctx, cred) })
	}
}

// anew is the pattern of go-mssqldb/azuread: each connection makes its own credential.
func (a *azure) anew(user string, credential newCredential) (driver.Connector, error) {
	return a.withPassword(user, func(ctx context.Context) (string, error) {
		cred, err := credential()
		if err != nil {
			return "", err
		}
		return getToken(ctx, cred)
	})
}

func (a *azure) withPassword(user string, password func(context.Context) (string, error)) (driver.Connector, error) {
	cc, err := pgx.ParseConfig(a.dsn(user))
	if err != nil {
		return nil, err
	}
	return stdlib.GetConnector(*cc, stdlib.OptionBeforeConnect(func(ctx context.Context, cc *pgx.ConnConfig) (err error) {
		cc.Password, err = password(ctx)
		return err
	})), nil
}

func (a *azure) multiauth(user string, credential newCredential) (driver.Connector, error) {
	cred, err := credential()
	if err != nil {
		return nil, err
	}
	return pgmultiauth.GetConnector(context.Background(), a.multiauthConfig(user, cred))
}

func (a *azure) multiauthConfig(user string, cred azcore.TokenCredential) pgmultiauth.Config {
	return pgmultiauth.NewConfig(a.dsn(user), pgmultiauth.WithAzureAuth(cred))
}

// connect opens one connection. A panic, as of go-pgmultiauth v1.0.0 after a refresh
// that failed, is a failure like others.
func connect(ctx context.Context, c driver.Connector) (conn driver.Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			conn, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	return c.Connect(ctx)
}
