//go:build unix

package proxy_test

import (
	"testing"
)

func TestPsqlLogsInWithoutAPassword(t *testing.T) {
	s := sharedAzure(t)
	c := run(t, s, s.AddServicePrincipal("app"))
	if got := c.mustPsql(t, "-c", "select current_user, current_database(), 1+1"); got != "app|postgres|2" {
		t.Errorf("got %q", got)
	}
}
