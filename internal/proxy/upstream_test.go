package proxy_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/proxy"
)

func TestSilentServersEndWithTheConnectTimeout(t *testing.T) {
	for at := accepted; at < ready; at++ {
		t.Run(at.String(), func(t *testing.T) {
			leavesNothing(t)
			_, cfg := startFake(t, at, true)
			cfg.ConnectTimeout = 200 * time.Millisecond
			s := serveConfig(t, cfg, proxy.Options{})
			conn := s.dial(t)
			write(t, conn, goodPacket)
			if said := wantError(t, conn, "08001"); !strings.Contains(said.Hint, "look at the server's firewall rules") {
				t.Errorf("the client is told %q, %q", said.Message, said.Hint)
			}
		})
	}
}

func TestNoEvilServerGetsTheToken(t *testing.T) {
	for _, evil := range []azurepgtest.Evil{
		azurepgtest.SkipsNegotiation, azurepgtest.RefusesTLS, azurepgtest.SelfSigned, azurepgtest.OtherName, azurepgtest.OldTLS,
		azurepgtest.Downgrades, azurepgtest.AsksMD5, azurepgtest.AsksSCRAM, azurepgtest.AsksNothing, azurepgtest.AsksPassword,
	} {
		t.Run(string(evil), func(t *testing.T) {
			r := azurepgtest.Record(t, evil)
			host, port, _ := net.SplitHostPort(r.Addr)
			cfg, err := azurepg.ParseDSN("host=" + host + " port=" + port + " user=app dbname=postgres sslrootcert=" + r.CAFile)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Credential = azurepgtest.NewCredential("app")
			s := serveConfig(t, cfg, proxy.Options{})
			conn := s.dial(t)
			write(t, conn, goodPacket)
			if hear(t, conn, 'E') == nil {
				t.Error("the client was told nothing")
			}
			got := len(r.Passwords())
			if want := evil == azurepgtest.AsksPassword; (got > 0) != want {
				t.Errorf("it got %d tokens", got)
			}
		})
	}
}

func TestAfterARefusalNoOtherHostGetsTheToken(t *testing.T) {
	azure := azurepgtest.Start(t)
	azure.AddServicePrincipal("app")
	other := azurepgtest.Record(t, azurepgtest.AsksPassword)
	cfg, err := azurepg.ParseDSN(azure.DSN("app"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.User = "nobody"
	second, port, _ := net.SplitHostPort(other.Addr)
	cfg.Hosts = append(cfg.Hosts, azurepg.Host{Name: second, Port: portNumber(t, port)})
	s := serveConfig(t, cfg, proxy.Options{})
	conn := s.dial(t)
	write(t, conn, goodPacket)
	wantError(t, conn, "28P01")
	if n := other.Connections(); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

// 53300 of the server is relayed with its words, and azurepg's advice.
func TestAFullServerIsRelayed(t *testing.T) {
	azure := azurepgtest.Start(t)
	s := serve(t, azure.DSN("app"), proxy.Options{})
	enter(t, s.dial(t))
	azure.Postgres.SetMaxConnections(1)
	_, err := pgx.Connect(t.Context(), s.dsn())
	var server interface{ SQLState() string }
	if !errors.As(err, &server) || server.SQLState() != "53300" {
		t.Fatalf("got %v; want SQLSTATE 53300", err)
	}
	conn := s.dial(t)
	write(t, conn, goodPacket)
	said := wantError(t, conn, "53300")
	if !strings.Contains(said.Message, "remaining connection slots") || !strings.Contains(said.Hint, "raise max_connections") {
		t.Errorf("the client is told %q, %q", said.Message, said.Hint)
	}
}

// A firewall's refusal is not the token's fault.
func TestARefusalBeforeTheTokenForcesNoFetch(t *testing.T) {
	azure := azurepgtest.Start(t)
	s := serve(t, azure.DSN("app"), proxy.Options{})
	azure.Postgres.RejectBefore(true)
	conn := s.dial(t)
	write(t, conn, goodPacket)
	said := wantError(t, conn, "28000")
	if !strings.Contains(said.Message, "no pg_hba.conf entry") || !strings.Contains(said.Hint, "firewall rules") || said.Detail != "" {
		t.Errorf("the client is told %q, %q, %q", said.Message, said.Detail, said.Hint)
	}
	if forced := s.metric(t, "token_fetches_forced_total"); forced != "0" {
		t.Errorf("%s fetches were forced; want none", forced)
	}
}
