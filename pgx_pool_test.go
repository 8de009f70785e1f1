package azurepg

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// poolConnector is a Connector whose tokens last a day.
func poolConnector(t *testing.T) *Connector {
	t.Helper()
	cred := azurepgtest.NewCredential("")
	cred.SetLifetime(24 * time.Hour)
	c, err := NewConnector(&Config{Hosts: []Host{{Name: "db.example.com"}}, User: "app", Credential: cred})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loginForTest is what a pool does to connect, up to the server's answer.
func (c *Connector) loginForTest(t *testing.T) string {
	t.Helper()
	try, err := c.poolLogin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(try.login.Password)
}

func TestPoolWithAWrongRoleForcesOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := poolConnector(t)
		for range 20 {
			c.poolRefused(c.loginForTest(t))
			time.Sleep(time.Hour)
		}
		if got := c.Stats().Tokens; got.Forced != 1 {
			t.Errorf("Stats() = %+v; want 1 forced fetch", got)
		}
	})
}

func TestPoolRecoversFromEveryRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := poolConnector(t)
		refused := ""
		for range 5 {
			token := c.loginForTest(t)
			if token == refused {
				t.Fatalf("%s was refused and is sent again", token)
			}
			c.succeeded()
			time.Sleep(time.Hour)
			refused = c.loginForTest(t)
			c.poolRefused(refused)
		}
	})
}

func TestLateRefusalOfAReplacedTokenMeansNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := poolConnector(t)
		first := c.loginForTest(t)
		c.poolRefused(first)
		second := c.loginForTest(t)
		c.succeeded()
		c.poolRefused(first) // a slow login with the first token
		time.Sleep(time.Hour)
		c.poolRefused(second) // revoked
		if third := c.loginForTest(t); third == second || c.hopeless.Load() {
			t.Errorf("%s again, hopeless %v; want a new token", third, c.hopeless.Load())
		}
	})
}
