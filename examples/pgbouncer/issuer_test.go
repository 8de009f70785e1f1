package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/azurepg/azurepg/azurepgtest"
)

// An issuer is the credential of a principal. PgBouncer by itself cannot check a token: it
// compares passwords with a list, so each token is entered there before anybody has
// it. It then logs in with the token itself, and PostgreSQL's front checks it as Azure does.
type issuer struct {
	azure    *azurepgtest.Server
	bouncer  *bouncer
	who      *azurepgtest.Principal
	options  azurepgtest.MintOptions
	lifetime time.Duration // 0 is an hour

	mu     sync.Mutex // guards what follows
	tokens []string
}

var _ azcore.TokenCredential = (*issuer)(nil)

func (i *issuer) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	options := i.options
	end := time.Now().Add(cmp.Or(i.lifetime, time.Hour)).Truncate(time.Second)
	// PgBouncer logs in with a token until the next one comes, which no client brings while
	// all wait for PgBouncer; so tokens are good for longer than azurepg uses them.
	options.Expires = end.Add(time.Minute)
	token := i.azure.Entra.Mint(i.who, &options)
	i.mu.Lock()
	i.tokens = append(i.tokens, token)
	i.mu.Unlock()
	if err := i.bouncer.admit(i.who.Name, token); err != nil {
		return azcore.AccessToken{}, err
	}
	// No refresh ahead of the end: the list has room for one token of each role.
	return azcore.AccessToken{Token: token, ExpiresOn: end, RefreshOn: end.Add(-time.Millisecond)}, nil
}

func (i *issuer) issued() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.tokens)
}

// admit makes token the password of role, for clients and for PgBouncer's own logins.
func (b *bouncer) admit(role, token string) error {
	b.mu.Lock()
	b.passwords[role] = token
	err := b.writeUsers()
	b.mu.Unlock()
	if err != nil {
		return err
	}
	return b.console("RELOAD")
}

func (b *bouncer) writeUsers() error {
	var lines strings.Builder
	// The console's comes first: PgBouncer reads no further than a password that is too long for it.
	fmt.Fprintf(&lines, "\"console\" %q\n", b.consolePassword)
	for role, password := range b.passwords {
		fmt.Fprintf(&lines, "%q %q\n", role, password)
	}
	fresh := filepath.Join(b.dir, "users.new")
	if err := os.WriteFile(fresh, []byte(lines.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, filepath.Join(b.dir, "users.txt"))
}

// console executes a command on PgBouncer's console.
func (b *bouncer) console(command string) error {
	config, err := pgconn.ParseConfig("host=localhost port=" + b.port + " sslmode=verify-full dbname=pgbouncer user=console sslrootcert=" + b.caFile)
	if err != nil {
		return err
	}
	config.Password = b.consolePassword
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, command).ReadAll()
	return err
}
