package settings

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
)

// secret stands wherever one is; no error may hold it.
const secret = "hunter2"

func base() map[string]string {
	return map[string]string{
		"CELERY_BROKER_URL": "rediss://user:" + secret + "@redis.example.com:6380/1",
		"AZURE_TENANT_ID":   "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": secret,
		"AZURE_SERVICE_PRINCIPAL_USER": "sp user@db", "DB_HOST": "mydb.postgres.database.azure.com",
	}
}

func with(changes map[string]string) func(string) string {
	env := base()
	maps.Copy(env, changes)
	return func(name string) string { return env[name] }
}

func TestServicePrincipalsVariablesBecomeADSN(t *testing.T) {
	s, err := Read(with(nil))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.ResultsDSN, secret) {
		t.Error("the DSN holds the secret")
	}
	t.Setenv("AZURE_TENANT_ID", "tenant")
	t.Setenv("AZURE_CLIENT_ID", "client")
	t.Setenv("AZURE_CLIENT_SECRET", secret)
	cfg, err := azurepg.ParseDSN(s.ResultsDSN)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.User != "sp user@db" || cfg.Database != "celery" || cfg.Hosts[0].Port != 5432 || cfg.AzureCredential != "client_secret" {
		t.Errorf("the DSN is %s", s.ResultsDSN)
	}
	if s.Queue != "celery" || s.Visibility != time.Hour || s.Concurrency < 1 || !strings.HasPrefix(s.Node, "go@") {
		t.Errorf("defaults: %+v", s)
	}
}

func TestErrorsNameTheVariableAndNotItsValue(t *testing.T) {
	for name, test := range map[string]struct {
		changes map[string]string
		want    string
	}{
		"broker without TLS":  {map[string]string{"CELERY_BROKER_URL": "redis://:" + secret + "@h"}, "CELERY_BROKER_URL must begin with rediss:// or amqps://"},
		"broker that is none": {map[string]string{"CELERY_BROKER_URL": "rediss://:" + secret + "@h:port"}, "CELERY_BROKER_URL is no URL"},
		"results without TLS": {map[string]string{"CELERY_RESULT_BACKEND": "redis://:" + secret + "@h"}, "CELERY_RESULT_BACKEND must begin with rediss://"},
		"results elsewhere":   {map[string]string{"CELERY_RESULT_BACKEND": "db+mysql://u:" + secret + "@h/d"}, "CELERY_RESULT_BACKEND: "},
		"results by password": {map[string]string{"CELERY_RESULT_BACKEND": "db+postgresql://u:" + secret + "@h/d"}, "a password is given"},
		"one is missing":      {map[string]string{"AZURE_CLIENT_SECRET": ""}, "Azure AD credentials are missing: AZURE_CLIENT_SECRET."},
		"another engine":      {map[string]string{"CELERY_RESULTS_DB_BACKEND": "db+mysql"}, "CELERY_RESULTS_DB_BACKEND must be"},
		"no tasks at once":    {map[string]string{"CELERY_CONCURRENCY": "0"}, "CELERY_CONCURRENCY must be"},
		"no time":             {map[string]string{"CELERY_VISIBILITY_TIMEOUT": "1h"}, "CELERY_VISIBILITY_TIMEOUT must be"},
	} {
		_, err := Read(with(test.changes))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v; want %s", name, err, test.want)
		}
	}
}

func TestShownSettingsHoldNoSecret(t *testing.T) {
	env := base()
	env["CELERY_RESULT_BACKEND"] = "postgres://u@h/d?azure_client_secret=" + secret
	for name, value := range env {
		t.Setenv(name, value)
	}
	var out strings.Builder
	Show(&out)
	for _, want := range []string{"CELERY_BROKER_URL=rediss://user:[redacted]@redis.example.com:6380/1\n", "AZURE_CLIENT_SECRET=***\n", "AZURE_CLIENT_ID=client\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed\n%s; want %s", &out, want)
		}
	}
	if strings.Contains(out.String(), secret) {
		t.Errorf("printed\n%s", &out)
	}
}
