package azurepg_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

func TestDialReachesTheServersOfTheConfigWithoutAToken(t *testing.T) {
	noAzure(t)
	rec := azurepgtest.Record(t, azurepgtest.AsksPassword)
	cred := azurepgtest.NewCredential("")
	cfg := toRecorder(t, rec, "verify-full")
	cfg.Credential = cred
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(t.Context(), "tcp", rec.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); !ok || !s.ConnectionState().HandshakeComplete {
		t.Errorf("got %T; want a TLS connection", conn)
	}
	unknown := azurepgtest.Record(t, azurepgtest.SelfSigned)
	cfg = toRecorder(t, unknown, "verify-full")
	cfg.Credential = cred
	if c, err = azurepg.NewConnector(cfg); err != nil {
		t.Fatal(err)
	}
	if conn, err := c.Dial(t.Context(), "tcp", unknown.Addr); err == nil {
		_ = conn.Close()
		t.Error("a server that cannot be verified was reached")
	}
	if _, err := c.Dial(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, azurepg.ErrInsecureTLS) {
		t.Errorf("another address: got %v; want ErrInsecureTLS", err)
	}
	if n := cred.TokenRequests(); n != 0 {
		t.Errorf("%d tokens were fetched; want none", n)
	}
}

func TestClockOfTheTokenServiceIsCompared(t *testing.T) {
	noAzure(t)
	s, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour} {
		app := s.AddServicePrincipal("clock" + ahead.String())
		cfg := &azurepg.Config{AzureCredential: "client_secret", TenantID: app.TenantID, ClientID: app.ClientID, ClientSecret: azurepg.Secret(app.Secret)}
		cache, err := cfg.TokenCache()
		if err != nil {
			t.Fatal(err)
		}
		if got := cache.Stats().ClockAhead; got != 0 {
			t.Errorf("before the first answer: %v; want 0", got)
		}
		s.Entra.Fault(azurepgtest.ClockSkew(ahead))
		if _, err := cache.Token(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.Entra.ClearFaults()
		if got := cache.Stats().ClockAhead; got == 0 || (got-ahead).Abs() > 10*time.Minute {
			t.Errorf("got %v; want about %v", got, ahead)
		}
	}
}
