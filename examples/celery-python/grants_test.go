package celery_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

// store puts a result where a worker would, and reads it back.
const store = `
import uuid, tasks
for _ in range(2):
    id = uuid.uuid4().hex
    tasks.app.backend.store_result(id, {"fine": 1}, "SUCCESS")
    print(tasks.app.AsyncResult(id).get(timeout=10)["fine"])
`

// In a database that belongs to somebody else the grants are enough, and needed; once the
// tables are there, the right to make some is not.
func TestGrantsAreWhatCelerysResultsNeed(t *testing.T) {
	s := pythontest.NewSite(t, "sp_celery@db")
	if err := s.Azure.Postgres.Exec(t.Context(), "create database results"); err != nil {
		t.Fatal(err)
	}
	execute := func(sql string) {
		t.Helper()
		super, err := s.Azure.Postgres.Superuser(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer super.Close(context.Background())
		config := super.Config().Copy()
		config.Database = "results"
		db, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close(context.Background())
		if _, err := db.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	execute(`revoke all on schema public from public; revoke connect on database results from public`)

	// What psql makes of the file.
	grants := strings.NewReplacer(`:"role"`, pgx.Identifier{s.Role}.Sanitize(), `:"database"`, `results`, `\set ON_ERROR_STOP on`, "").
		Replace(readFile(t, "sql/grants.sql"))
	execute(grants)
	s.Proxy(t, "results")
	works := func() {
		t.Helper()
		p := s.Python(t, ".", []string{"DB_NAME=results"}, "-c", store)
		if one, two := p.Line(), p.Line(); one != "1" || two != "1" {
			t.Errorf("stored and read %s and %s", one, two)
		}
		p.Succeeds()
	}
	works()
	execute(`revoke create on schema public from "sp_celery@db"`)
	works()
}
