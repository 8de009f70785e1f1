package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTokenIsAllThatIsPrintedAndLogsIn(t *testing.T) {
	env := environment(azure)
	got := invoke(t, env, "token")
	token, found := strings.CutSuffix(got.out, "\n")
	if got.code != 0 || got.err != "" || !found || !slices.Contains(azure.Entra.Tokens(), token) {
		t.Fatalf("exit code %d, %d bytes, %q; want a token and nothing else", got.code, len(got.out), got.err)
	}
	psql := exec.Command("psql", "-Atc", "select current_user")
	psql.Env = append(env, "PGPASSWORD="+token)
	if out, err := psql.CombinedOutput(); err != nil || string(out) != "app\n" {
		t.Errorf("psql with it: %s, %v; want app", out, err)
	}
}

func TestTokenAsJSONSaysWhoseAndUntilWhen(t *testing.T) {
	var got struct {
		Token     string    `json:"token"`
		ExpiresOn time.Time `json:"expires_on"`
		User      *string   `json:"user"`
	}
	for _, row := range []struct {
		name string
		env  []string
		user string
	}{{"for a server", nil, "app"}, {"for none", []string{"PGHOST="}, ""}} {
		got.User = nil
		r := invoke(t, environment(azure, row.env...), "token", "-json")
		if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 || r.err != "" {
			t.Fatalf("%s: %v, %+v", row.name, err, r.err)
		}
		if left := time.Until(got.ExpiresOn); !slices.Contains(azure.Entra.Tokens(), got.Token) || left < time.Minute || left > 2*time.Hour {
			t.Errorf("%s: no token, or with %v left", row.name, left)
		}
		if (got.User != nil) != (row.user != "") || got.User != nil && *got.User != row.user {
			t.Errorf("%s: user %v; want %q", row.name, got.User, row.user)
		}
	}
}

func TestTokenThatIsNotToBeHadIsOneLine(t *testing.T) {
	for _, row := range []struct {
		name, says string
		code       int
		env        []string
		args       []string
	}{
		{"wrong secret", "AADSTS7000215", exitFailed, []string{"AZURE_CLIENT_SECRET=HUNTER2"}, nil},
		{"no secret", "Azure AD credentials are missing", exitUsage, []string{"AZURE_CLIENT_SECRET="}, []string{"azure_credential=client_secret"}},
		{"no user", "set user", exitUsage, []string{"PGUSER="}, nil},
		{"no host, with a DSN", "no host is given", exitUsage, []string{"PGHOST="}, []string{"user=app"}},
		{"a socket", "unix socket", exitUsage, []string{"PGHOST=/var/run/postgresql"}, nil},
	} {
		got := invoke(t, environment(azure, row.env...), append([]string{"token"}, row.args...)...)
		got.wantFailure(t, row.code, "token", row.says)
		if got.out != "" || strings.Contains(got.err, "HUNTER2") {
			t.Errorf("%s: %+v", row.name, got)
		}
		wantNoLeak(t, azure, got.out, got.err)
	}
}
