package azurepg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAdviceIsThatOfTheErrorOrOfTheTables(t *testing.T) {
	noToken := &TokenError{Advice: "token advice"}
	for _, row := range []struct {
		name string
		err  error
		want string // the beginning; empty: none
	}{
		{"nil", nil, ""},
		{"unknown", errors.New("boom"), ""},
		{"refused", &AuthError{Advice: "role advice", err: errors.New("x"), noToken: noToken}, "role advice"},
		{"no token", noToken, "token advice"},
		{"no token, wrapped", fmt.Errorf("x: %w", noToken), "token advice"},
		{"no token for a setting", &TokenError{detail: "azure_client_id: give one", cause: dsnErrorf("azure_client_id", "give one")}, "give one"},
		{"no token in time", &TokenError{detail: "x", cause: context.DeadlineExceeded}, ""},
		{"a setting", dsnErrorf("sslmode", "use another"), "use another"},
		{"TLS", &tlsError{advice: "tls advice", err: errors.New("connection refused")}, "tls advice"},
		{"a connect", &loginError{text: "x: y", advice: "connect advice", err: errors.New("no such host")}, "connect advice"},
		{"a network error", errors.New("dial tcp 192.0.2.1:5432: connect: connection refused"), "nothing listens"},
		{"a network error on PgBouncer's port", errors.New("dial tcp 192.0.2.1:6432: connect: connection refused"), "nothing listens at this host and port: switch PgBouncer on"},
		{"a server's code", serverError("57P03 the database system is starting up"), "the server is starting"},
		{"a server's code with facts that are not known", serverError(`42501 permission denied for database "d"`), ""},
		{"pgx's own refusal", serverError("28P01 password authentication failed"), ""},
		{"PgBouncer's own refusal", serverError("08P01 password authentication failed"), ""},
	} {
		if got := Advice(row.err); !strings.HasPrefix(got, row.want) || (got == "") != (row.want == "") || strings.ContainsAny(got, "{}") {
			t.Errorf("%s: got %q; want %q", row.name, got, row.want)
		}
	}
}

func TestErrorOfAChainListsWhatEachCredentialSaid(t *testing.T) {
	err := (&tokenSource{name: "default"}).explain(t.Context(), errors.New("DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:"+
		"\n\tEnvironmentCredential: missing environment variable AZURE_TENANT_ID\n\tAzureCLICredential: executable not found on path\nTo troubleshoot, visit x"))
	var te *TokenError
	want := []string{`"EnvironmentCredential: missing environment variable AZURE_TENANT_ID"`, `"AzureCLICredential: executable not found on path"`}
	if !errors.As(err, &te) || !slices.Equal(te.Attempts, want) {
		t.Errorf("got %q; want %q", te.Attempts, want)
	}
}
