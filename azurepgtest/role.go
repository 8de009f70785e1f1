package azurepgtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// AddRole makes the role name and maps it to principal, in place of the one it was
// mapped to before. The Add methods of [Server] have done it for the principal's own
// name.
func (p *Postgres) AddRole(ctx context.Context, name string, principal *Principal) error {
	if err := p.checkRole(name); err != nil {
		return err
	}
	if p.roles.hasPassword(name) {
		return fmt.Errorf("azurepgtest: role %q is one of AddPasswordRole", name)
	}
	if err := p.backend.createRole(ctx, name); err != nil {
		return fmt.Errorf("azurepgtest: role %q: %w", name, err)
	}
	p.roles.set(name, principal)
	return nil
}

// AddPasswordRole makes the role name, which is no principal's and logs in with password
// in the way of method; for Trust it needs none. So clients can be shown a server, or a
// role, that asks for something else than a token. The real PostgreSQL asks, though
// clients reach it through TLS only: it does not know of that TLS, so that SCRAM comes
// without channel binding. Added again, a role gets the new password and method.
//
// It fails for a role that is a principal's or the superuser, for an unknown method, for
// an empty password but with Trust, and with a server of AZUREPG_TEST_POSTGRES, which asks
// for what its own pg_hba.conf says.
func (p *Postgres) AddPasswordRole(ctx context.Context, name, password string, method AuthMethod) error {
	if err := p.checkRole(name); err != nil {
		return err
	}
	if !slices.Contains(authMethods, method) {
		return fmt.Errorf("azurepgtest: role %q: unknown method %q", name, string(method))
	}
	if password == "" && method != Trust {
		return fmt.Errorf("azurepgtest: role %q: the password is empty", name)
	}
	if p.backend.process == nil {
		return fmt.Errorf("azurepgtest: role %q: the pg_hba.conf of AZUREPG_TEST_POSTGRES says how roles log in", name)
	}
	if p.roles.owner(name) != nil {
		return fmt.Errorf("azurepgtest: role %q is a principal's", name)
	}
	if err := p.backend.createPasswordRole(ctx, name, password, method); err != nil {
		return fmt.Errorf("azurepgtest: role %q: %w", name, err)
	}
	p.roles.set(name, nil)
	return nil
}

func (p *Postgres) checkRole(name string) error {
	if len(name) == 0 || len(name) > 63 {
		return fmt.Errorf("azurepgtest: role %q: PostgreSQL's names have 1 to 63 bytes", name)
	}
	if name == p.backend.superuser() {
		return fmt.Errorf("azurepgtest: role %q is the superuser's", name)
	}
	return nil
}

// createRole makes a role that may log in, unless there is one.
func (b *backend) createRole(ctx context.Context, name string) error {
	statements := []string{"create role " + quote(name) + " login"}
	if b.process == nil {
		// Hexadecimal digits need no quoting.
		statements = append(statements, "alter role "+quote(name)+" login password '"+b.password(name)+"'")
	}
	return b.changeRoles(ctx, statements)
}

// createPasswordRole makes a role that pg_hba.conf knows by its group, or moves it there.
func (b *backend) createPasswordRole(ctx context.Context, name, password string, method AuthMethod) error {
	stored := "scram-sha-256" // serves Cleartext too
	if method == MD5 {
		stored = "md5"
	}
	statements := []string{
		"create role " + quote(name) + " login",
		"set password_encryption = '" + stored + "'",
		"alter role " + quote(name) + " password " + quoteText(password),
	}
	for _, m := range authMethods {
		change := "revoke " + quote(m.group()) + " from " + quote(name)
		if m == method {
			change = "grant " + quote(m.group()) + " to " + quote(name)
		}
		statements = append(statements, "create role "+quote(m.group()), change)
	}
	return b.changeRoles(ctx, statements)
}

// changeRoles executes statements; a role to be created that is there already will do.
func (b *backend) changeRoles(ctx context.Context, statements []string) error {
	conn, err := b.superuserConn(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// Ends with the connection. Without it, test processes that share a server meet
	// "tuple concurrently updated".
	if _, err := conn.Exec(ctx, "select pg_advisory_lock(hashtext('azurepgtest'))"); err != nil {
		return err
	}
	for _, sql := range statements {
		_, err := conn.Exec(ctx, sql)
		const duplicateObject = "42710"
		if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == duplicateObject {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func quote(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

// quoteText returns a string constant that means the same whatever the setting of
// standard_conforming_strings.
func quoteText(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'"
}
