package brokertest

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/child"
	"github.com/redis/go-redis/v9"
)

func startFront(t *testing.T) (*azurepgtest.Server, *Redis, *Front) {
	t.Helper()
	azure, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, azure)
	r, err := StartRedis(newAuthority(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	f, err := StartFront(r, azure)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, f)
	return azure, r, f
}

// one returns a connection to addr that has not logged in.
func one(t *testing.T, r *Redis, addr string) *redis.Conn {
	t.Helper()
	config, err := r.TLSConfig()
	if err != nil {
		t.Fatal(err)
	}
	// HELLO would need the login in it.
	client := redis.NewClient(&redis.Options{Addr: addr, TLSConfig: config, MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { client.Close() })
	conn := client.Conn()
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestFrontTakesGoodTokensOfItsUsersAlone(t *testing.T) {
	azure, r, f := startFront(t)
	app, other, stranger := azure.AddServicePrincipal("app"), azure.AddServicePrincipal("other"), azure.AddServicePrincipal("stranger")
	for _, p := range []*azurepgtest.Principal{app, other} {
		if err := f.Grant(t.Context(), p.ObjectID, "~* &* +@all"); err != nil {
			t.Fatal(err)
		}
	}
	const audience = redisAudience
	good := azure.Entra.Mint(app, &azurepgtest.MintOptions{Audience: audience})
	for name, test := range map[string]struct{ user, token, reason string }{
		"good":              {app.ObjectID, good, ""},
		"another user":      {other.ObjectID, good, "the user is not the token's object id"},
		"client id as user": {app.ClientID, good, "the user is not the token's object id"},
		"no policy":         {stranger.ObjectID, azure.Entra.Mint(stranger, &azurepgtest.MintOptions{Audience: audience}), "no data access policy"},
		"another audience":  {app.ObjectID, azure.Entra.Mint(app, nil), "invalid audience"},
		"expired":           {app.ObjectID, azure.Entra.Mint(app, &azurepgtest.MintOptions{Audience: audience, Expires: time.Now().Add(-time.Second)}), "token is expired"},
		"another tenant":    {app.ObjectID, azure.Entra.Mint(app, &azurepgtest.MintOptions{Audience: audience, TenantID: azure.AddTenant()}), "invalid issuer"},
		"forged":            {app.ObjectID, azure.Entra.Mint(app, &azurepgtest.MintOptions{Audience: audience, Forged: true}), "signature is invalid"},
		"no token":          {app.ObjectID, "hunter2", "token is malformed"},
		"access key":        {"default", r.Password, "token is malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			refused := len(f.Refused())
			conn := one(t, r, f.Addr)
			if err := conn.Do(t.Context(), "ping").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
				t.Errorf("before the login: %v; want NOAUTH", err)
			}
			err := conn.AuthACL(t.Context(), test.user, test.token).Err()
			if test.reason == "" {
				if err == nil {
					err = conn.Ping(t.Context()).Err()
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") {
				t.Errorf("got %v; want WRONGPASS", err)
			}
			if reasons := f.Refused()[refused:]; len(reasons) != 1 || !strings.Contains(reasons[0], test.reason) {
				t.Errorf("refused for %q; want %q", reasons, test.reason)
			}
		})
	}
}

func TestFrontCutsAConnectionWhenItsLastTokenEnds(t *testing.T) {
	azure, r, f := startFront(t)
	app := azure.AddServicePrincipal("app")
	if err := f.Grant(t.Context(), app.ObjectID, "~* &* +@all"); err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(5 * time.Second).Truncate(time.Second)
	short := azure.Entra.Mint(app, &azurepgtest.MintOptions{Audience: redisAudience, Expires: expires})
	long := azure.Entra.Mint(app, &azurepgtest.MintOptions{Audience: redisAudience})
	dropped, renewed := one(t, r, f.Addr), one(t, r, f.Addr)
	for _, conn := range []*redis.Conn{dropped, renewed} {
		if err := conn.AuthACL(t.Context(), app.ObjectID, short).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := renewed.AuthACL(t.Context(), app.ObjectID, long).Err(); err != nil {
		t.Fatal(err)
	}
	child.Until(t, "the cut", func() bool { return f.Cut() == 1 })
	if time.Now().Before(expires) {
		t.Error("it was cut before its token ended")
	}
	if err := dropped.Ping(t.Context()).Err(); err == nil {
		t.Error("a connection goes on after the end of its token")
	}
	if err := renewed.Ping(t.Context()).Err(); err != nil {
		t.Errorf("a connection with a newer token: %v", err)
	}
}

func TestFrontWantsAClientCertificate(t *testing.T) {
	_, r, f := startFront(t)
	err := alert(t, f.Addr, &tls.Config{RootCAs: r.Authority.Pool()})
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("got %v; want a TLS alert", err)
	}
}
