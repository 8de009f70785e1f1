package django_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

func TestMain(m *testing.M) { os.Exit(pythontest.Main(m)) }

// An application migrates its database, writes and reads it across the ends of tokens and
// of all connections, and no request fails.
func TestNoRequestFailsWhileTokensAndBackendsEnd(t *testing.T) {
	pythontest.EachWay(t, "sp_shop@db", func(t *testing.T, s *pythontest.Site) {
		for range 2 { // the second finds nothing to do
			s.Python(t, ".", nil, "manage.py", "migrate").Succeeds()
		}
		server := s.Python(t, ".", nil, "serve.py")
		orders := server.Line() + "/orders"
		placed := 0
		place := func() {
			placed++
			response, err := http.Post(orders, "text/plain", strings.NewReader("a chair"))
			expect(t, placed, response, err)
		}
		for end := time.Now().Add(pythontest.TokenLife); time.Now().Before(end); { // the first token's
			place()
		}
		if s.Terminate(t) == 0 {
			t.Error("Django keeps no connection: there was nothing to terminate")
		}
		place()
		if s.Azure.Postgres.KillConnections() == 0 {
			t.Error("there was no connection to cut")
		}
		place()
		response, err := http.Get(orders)
		expect(t, placed, response, err)
		t.Logf("%d requests, %d tokens, %d logins", placed+1, s.Azure.Entra.TokenRequests(), s.Azure.Postgres.Logins())
	})
}

func expect(t *testing.T, paid int, response *http.Response, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if want := fmt.Sprintf(`{"paid": %d}`, paid); err != nil || response.StatusCode != http.StatusOK || string(body) != want {
		t.Fatalf("%s: got %s; want %s", response.Status, body, want)
	}
}

func TestWithoutAServicePrincipalTheOrdinaryUserIsKept(t *testing.T) {
	s := pythontest.NewSite(t, "sp_shop@db")
	p := s.Python(t, ".", s.Ordinary(t), "manage.py", "migrate")
	p.Succeeds()
	if out := p.String(); !strings.Contains(out, "AZURE_SERVICE_PRINCIPAL_USER is not set") || !strings.Contains(out, "Applying shop.0001_initial... OK") || strings.Contains(out, "HUNTER") {
		t.Errorf("it printed:\n%s", out)
	}
}

func TestTokenGoesToVerifiedServersOnly(t *testing.T) {
	pythontest.SendsOnlyToVerified(t, "manage.py", "migrate")
}
