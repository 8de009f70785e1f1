package azurepgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// NewDatabase makes an empty database of role's own for the duration of a test and
// returns the URL that [Server.DSN] returns, but for that database. Like there, a role
// that is not known becomes a service principal's. When the test ends the database is
// dropped, whoever is connected. If anything fails NewDatabase ends the test.
//
// It may be called by tests that run in parallel, with a Server that TestMain got from
// [New] as well as with one of [Start].
func (s *Server) NewDatabase(tb testing.TB, role string) string {
	tb.Helper()
	if s.Postgres == nil {
		tb.Fatal("azurepgtest: NewDatabase: there is no PostgreSQL")
	}
	name := "test_" + strings.ToLower(rand.Text()[:16])
	dsn := s.dsn(role, name) // adds the role
	if err := s.Postgres.createDatabase(context.Background(), name, role); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Postgres.dropDatabase(context.Background(), name); err != nil {
			tb.Error(err)
		}
	})
	return dsn
}

// CreateDatabase makes an empty database in which every role may create tables.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	if err := p.createDatabase(ctx, name, p.backend.superuser()); err != nil {
		return err
	}
	return p.allowTables(ctx, name)
}

func (p *Postgres) createDatabase(ctx context.Context, name, owner string) error {
	if err := p.Exec(ctx, "create database "+quote(name)+" owner "+quote(owner)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.databases = append(p.databases, name)
	return nil
}

// dropDatabase drops a database that was made here. In a server of our own that is down
// this can be left to the server's end.
func (p *Postgres) dropDatabase(ctx context.Context, name string) error {
	if p.backend.process != nil && p.isDown() {
		return nil
	}
	if err := p.Exec(ctx, "drop database if exists "+quote(name)+" with (force)"); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.databases = slices.DeleteFunc(p.databases, func(d string) bool { return d == name })
	return nil
}

// dropDatabases drops all databases that were made here, as far as that is possible.
func (p *Postgres) dropDatabases(ctx context.Context) {
	p.mu.Lock()
	databases := slices.Clone(p.databases)
	p.mu.Unlock()
	for _, name := range databases {
		p.dropDatabase(ctx, name)
	}
}

// allowTables gives all roles what PostgreSQL 15 took from them.
func (p *Postgres) allowTables(ctx context.Context, database string) error {
	conn, err := p.superuser(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "grant create on schema public to public"); err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	return nil
}

// Superuser opens a connection to database postgres as superuser, past the front. The
// caller closes it.
func (p *Postgres) Superuser(ctx context.Context) (*pgx.Conn, error) {
	return p.superuser(ctx, "postgres")
}

func (p *Postgres) superuser(ctx context.Context, database string) (*pgx.Conn, error) {
	conn, err := p.backend.superuserConn(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("azurepgtest: connect as superuser: %w", err)
	}
	return conn, nil
}

// Exec executes sql as superuser in database postgres.
func (p *Postgres) Exec(ctx context.Context, sql string, args ...any) error {
	conn, err := p.Superuser(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	return nil
}
