package azurepg

import (
	"fmt"
	"strings"
	"testing"
)

func TestSettingsSayWhereEachCameFrom(t *testing.T) {
	const azure = "mydb.postgres.database.azure.com"
	file := map[string]string{"/home/u/.pg_service.conf": "[s]\nhost=from-file\ndbname=shop\nstatement_timeout=5000\nazure_client_secret=HUNTER2\nazure_credential=client_secret\n"}
	for _, row := range []struct {
		name, dsn string
		env       map[string]string
		want      []string // key=value (source), of those that matter
		not       []string // keys
	}{
		{name: "nothing but a host", dsn: "host=h", want: []string{"host=h (DSN)", "port=5432 (default)", "sslmode=verify-full (default)", "sslrootcert=system (default)",
			"connect_timeout=30 (default)", "azure_credential=default (default)", "azure_cloud=public (host)",
			"azure_scope=https://ossrdbms-aad.database.windows.net/.default (host)"}, not: []string{"user", "dbname", "hostaddr", "service", "ssl"}},
		{name: "URL", dsn: "postgres://u@a:1,b:2/d?hostaddr=192.0.2.1,192.0.2.2&search_path=app", want: []string{"host=a,b (DSN)", "port=1,2 (DSN)",
			"hostaddr=192.0.2.1,192.0.2.2 (DSN)", "dbname=d (DSN)", "user=u (DSN)", "search_path=app (DSN)"}},
		{name: "environment", dsn: "", env: map[string]string{"PGHOST": "h", "PGUSER": "u", "PGAPPNAME": "a"},
			want: []string{"host=h (PGHOST)", "user=u (PGUSER)", "application_name=a (PGAPPNAME)"}},
		{name: "all four", dsn: "service=s user=u", env: map[string]string{"PGPORT": "7", "PGHOST": "other"}, want: []string{"host=from-file (service file)",
			"dbname=shop (service file)", "user=u (DSN)", "port=7 (PGPORT)", "service=s (DSN)", "statement_timeout=5000 (service file)",
			"azure_client_secret=[redacted] (service file)"}},
		{name: "fallback name", dsn: "host=h fallback_application_name=a", want: []string{"application_name=a (DSN)"}},

		{name: "require", dsn: "host=h sslmode=require", want: []string{"sslmode=require (DSN)"}},
		{name: "require, as ssl", dsn: "host=h ssl=true", want: []string{"sslmode=require (DSN)"}},
		{name: "require of Azure", dsn: "host=" + azure + " sslmode=require", want: []string{"sslmode=verify-full (host)"}},
		{name: "require with roots", dsn: "host=h sslmode=require sslrootcert=f", want: []string{"sslmode=verify-ca (sslrootcert)", "sslrootcert=f (DSN)"}},
		{name: "raised by a variable", dsn: "host=h sslmode=require", env: map[string]string{"PGSSLMODE": "verify-full"}, want: []string{"sslmode=verify-full (PGSSLMODE)"}},
		{name: "not lowered by a variable", dsn: "host=h", env: map[string]string{"PGSSLMODE": "require"}, want: []string{"sslmode=verify-full (default)"}},

		{name: "variables of the chain", dsn: "host=h", env: map[string]string{"AZURE_CLIENT_ID": "id", "AZURE_CLIENT_SECRET": "HUNTER2", "AZURE_FEDERATED_TOKEN_FILE": "f",
			"AZURE_AUTHORITY_HOST": "https://login.example.com", "AZURE_MANAGED_IDENTITY_OBJECT_ID": "o"},
			want: []string{"azure_client_id=id (AZURE_CLIENT_ID)", "azure_client_secret=[redacted] (AZURE_CLIENT_SECRET)", "azure_federated_token_file=f (AZURE_FEDERATED_TOKEN_FILE)",
				"AZURE_AUTHORITY_HOST=https://login.example.com (AZURE_AUTHORITY_HOST)"}, not: []string{"azure_managed_identity_object_id"}},
		{name: "a secret where none belongs", dsn: "host=h", env: map[string]string{"AZURE_AUTHORITY_HOST": "https://u:HUNTER2@login.example.com"},
			want: []string{"AZURE_AUTHORITY_HOST=https://u:[redacted]@login.example.com (AZURE_AUTHORITY_HOST)"}},
		{name: "variables of one credential", dsn: "host=h azure_credential=client_secret azure_client_id=mine", env: map[string]string{"AZURE_CLIENT_ID": "id", "AZURE_TENANT_ID": "t", "AZURE_FEDERATED_TOKEN_FILE": "f"},
			want: []string{"azure_client_id=mine (DSN)", "azure_tenant_id=t (AZURE_TENANT_ID)", "azure_credential=client_secret (DSN)"}, not: []string{"azure_federated_token_file"}},
		{name: "no variable is read", dsn: "host=h azure_credential=managed_identity", env: map[string]string{"AZURE_CLIENT_ID": "id"}, not: []string{"azure_client_id"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			all, err := settings(row.dsn, stubSource(row.env, file))
			if err != nil {
				t.Fatal(err)
			}
			text := "\n"
			for _, s := range all {
				text += fmt.Sprintf("%s=%s (%s)\n", s.Key, s.Value, s.Source)
			}
			for _, want := range row.want {
				if !strings.Contains(text, "\n"+want+"\n") {
					t.Errorf("got %s\nwithout %s", text, want)
				}
			}
			for _, key := range row.not {
				if strings.Contains(text, "\n"+key+"=") {
					t.Errorf("got %s\nwith %s", text, key)
				}
			}
			if strings.Contains(text, "HUNTER2") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestSettingsOfAnUnusableDSNAreItsError(t *testing.T) {
	for _, dsn := range []string{"", "postgres://u:HUNTER2@h/d", "host=h azure_x=HUNTER2"} {
		_, want := parseDSN(dsn, stubSource(nil, nil))
		if all, err := settings(dsn, stubSource(nil, nil)); all != nil || err == nil || err.Error() != want.Error() {
			t.Errorf("got %v, %v; want %v", all, err, want)
		}
	}
}
