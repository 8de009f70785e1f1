package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// pgaadauth stands for Azure's function, in a database without it: it makes the role and
// notes what it was asked for. As PostgreSQL 16 does for those who make a role
// themselves, it gives the caller the right to grant it.
const pgaadauth = `
create table if not exists pgaadauth_calls (role text, oid text, type text, admin bool, mfa bool);
create or replace function pgaadauth_create_principal_with_oid(role text, oid text, type text, admin bool, mfa bool)
returns text language plpgsql security definer as $$
begin
	insert into public.pgaadauth_calls values (role, oid, type, admin, mfa);
	execute format('create role %I login', role);
	execute format('grant %I to %I with admin option', role, session_user);
	return format('Created role for "%s"', role);
end $$;
`

// The steps of make database, by an administrator who is no superuser, with psql and a
// token; then the program as the new role. All of it twice.
func TestAdministratorMakesTheDatabaseAndThePodUsesIt(t *testing.T) {
	const role, database, dba = "orders app", "orders db", "dba@contoso.com"
	admin := azure.AddUser(dba)
	for _, sql := range []string{`alter role "dba@contoso.com" createrole createdb`, pgaadauth} {
		if err := azure.Postgres.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, sql := range []string{`drop database if exists "orders db"`, `drop role if exists "orders app"`} {
			if err := azure.Postgres.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	identity := azure.AddManagedIdentity("id-orders")
	for run := range 2 {
		makeDatabase(t, admin, "DBUSER="+role, "DBNAME="+database, "DBADMIN="+dba, "OBJECT_ID="+identity.ObjectID)
		// In Azure the function has done this too.
		if err := azure.Postgres.AddRole(t.Context(), role, identity); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, err := execute(t, pod(t, identity, role, database))
		if err != nil || stdout != printed {
			t.Errorf("run %d: %v, printed %q and %q", run+1, err, stdout, stderr)
		}
	}
	conn, err := azure.Postgres.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var calls, right int
	var owner string
	var connects bool
	err = conn.QueryRow(t.Context(), `select count(*), count(*) filter (where role = $1 and oid = $2 and type = 'service' and not admin and not mfa),
		(select pg_get_userbyid(datdba) from pg_database where datname = $3),
		has_database_privilege('id-orders', $3, 'connect') from pgaadauth_calls`, role, identity.ObjectID, database).Scan(&calls, &right, &owner, &connects)
	if err != nil {
		t.Fatal(err)
	}
	if calls != 1 || right != 1 {
		t.Errorf("pgaadauth was called %d times, %d as it should be; want once", calls, right)
	}
	cmd := exec.Command("psql", "-h", azure.Postgres.Host, "-p", strconv.Itoa(azure.Postgres.Port), "-U", role, "-d", database,
		"-Atc", "select pg_get_userbyid(nspowner), has_schema_privilege('id-orders', 'public', 'create') from pg_namespace where nspname = 'public'")
	cmd.Env = append(os.Environ(), "PGSSLMODE=verify-full", "PGSSLROOTCERT="+azure.Postgres.CAFile, "PGPASSWORD="+azure.Entra.Mint(identity, nil))
	if schema, err := cmd.CombinedOutput(); err != nil || string(schema) != role+"|f\n" {
		t.Errorf("schema public is of %q, %v; want %s, and nobody else making tables", schema, err, role)
	}
	if owner != role || connects {
		t.Errorf("the database is owned by %s, and others may connect: %t", owner, connects)
	}
}

// makeDatabase runs make database, with an az that answers as it does for admin.
func makeDatabase(t *testing.T, admin *azurepgtest.Principal, settings ...string) {
	t.Helper()
	az := t.TempDir()
	token := azure.Entra.Mint(admin, &azurepgtest.MintOptions{Expires: time.Now().Add(time.Minute)})
	script := "#!/bin/sh\n[ \"$*\" = 'account get-access-token --resource-type oss-rdbms --query accessToken -o tsv' ] && echo '" + token + "'\n"
	if err := os.WriteFile(filepath.Join(az, "az"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(azure.Postgres.Addr(), ":")
	cmd := exec.Command("make", append([]string{"-s", "--no-print-directory", "database", "DBHOST=" + host}, settings...)...)
	cmd.Env = append(os.Environ(), "PATH="+az+string(os.PathListSeparator)+os.Getenv("PATH"),
		"PGPORT="+port, "PGSSLROOTCERT="+azure.Postgres.CAFile)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), token) {
		t.Error("make prints the token")
	}
}
