package settings

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"strings"
)

// databaseDSN makes a DSN of the variables of a service principal. The secret is not in
// it: azurepg takes it from where it is, and so may whatever rotates it.
func databaseDSN(getenv func(string) string) (string, error) {
	var missing []string
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_SERVICE_PRINCIPAL_USER", "DB_HOST"} {
		if getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return "", errors.New("Azure AD credentials are missing: " + strings.Join(missing, ", ") + ". Set them, or CELERY_RESULT_BACKEND")
	}
	if engine := cmp.Or(getenv("CELERY_RESULTS_DB_BACKEND"), "db+postgresql"); !strings.HasPrefix(engine, "db+postgresql") {
		return "", errors.New("CELERY_RESULTS_DB_BACKEND must be db+postgresql")
	}
	dsn := url.URL{
		Scheme:   "postgres",
		User:     url.User(getenv("AZURE_SERVICE_PRINCIPAL_USER")),
		Host:     net.JoinHostPort(getenv("DB_HOST"), cmp.Or(getenv("DB_PORT"), "5432")),
		Path:     "/" + cmp.Or(getenv("DB_NAME"), "celery"),
		RawQuery: "azure_credential=client_secret",
	}
	return dsn.String(), nil
}
