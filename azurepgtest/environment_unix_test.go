//go:build unix

package azurepgtest_test

import (
	"os"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestEnvironmentOfTheTestsIsNotInTheWay(t *testing.T) {
	private := shortDir(t, "azpgtest")
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string]map[string]string{
		"PG variables": {"PGSERVICE": "production", "PGSERVICEFILE": "/nowhere", "PGHOST": "db.invalid", "PGPORT": "none",
			"PGUSER": "nobody", "PGPASSWORD": "secret", "PGSSLMODE": "bogus", "PGREQUIREAUTH": "scram-sha-256",
			"PGCHANNELBINDING": "require", "PGMINPROTOCOLVERSION": "3.2", "PGTARGETSESSIONATTRS": "standby",
			"PGOPTIONS": "-c no.such", "PGTZ": "none"},
		"a TMPDIR that others may not enter": {"TMPDIR": private},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range env {
				t.Setenv(key, value)
			}
			t.Setenv("AZUREPG_TEST_POSTGRES", "")
			s := azurepgtest.Start(t)
			if err := s.Postgres.Exec(t.Context(), "select 1"); err != nil {
				t.Error(err)
			}
			s.AddServicePrincipal("app")
		})
	}
}
