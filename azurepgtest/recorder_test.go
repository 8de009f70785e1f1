package azurepgtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
)

// connect lets pgx log in to r with the password "secret"; change may weaken it. It has
// little patience with one that never answers.
func connect(t *testing.T, r *azurepgtest.Recorder, never bool, change func(*pgx.ConnConfig)) error {
	t.Helper()
	host, port, _ := net.SplitHostPort(r.Addr)
	config, err := pgx.ParseConfig("host=" + host + " port=" + port + " user=app password=secret dbname=postgres sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(r.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: host}
	change(config)
	patience := time.Minute
	if never {
		patience = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		conn.Close(t.Context())
	}
	return err
}

func TestRecorderHearsNothingFromACarefulClient(t *testing.T) {
	t.Parallel()
	for _, evil := range []azurepgtest.Evil{azurepgtest.SkipsNegotiation, azurepgtest.RefusesTLS, azurepgtest.SelfSigned,
		azurepgtest.OtherName, azurepgtest.OldTLS, azurepgtest.Downgrades, azurepgtest.AsksMD5, azurepgtest.AsksSCRAM,
		azurepgtest.AsksNothing, azurepgtest.NeverAnswers} {
		t.Run(string(evil), func(t *testing.T) {
			t.Parallel()
			r := azurepgtest.Record(t, evil)
			err := connect(t, r, evil == azurepgtest.NeverAnswers, func(c *pgx.ConnConfig) { c.RequireAuth = "password" })
			if err == nil {
				t.Error("logged in")
			}
			if strings.Contains(string(r.Clear()), "secret") || len(r.Passwords()) != 0 {
				t.Errorf("pgx told its password: %q", r.Passwords())
			}
			if got := r.Connections(); got != 1 {
				t.Errorf("Connections() = %d; want 1", got)
			}
		})
	}
}

func TestRecorderHearsACarelessClient(t *testing.T) {
	t.Parallel()
	weak := func(c *pgx.ConnConfig) { c.TLSConfig.InsecureSkipVerify = true }
	plain := func(c *pgx.ConnConfig) { c.TLSConfig = nil }
	tests := []struct {
		evil    azurepgtest.Evil
		change  func(*pgx.ConnConfig)
		inClear bool
	}{
		{azurepgtest.AsksPassword, func(*pgx.ConnConfig) {}, false},
		{azurepgtest.SelfSigned, weak, false},
		{azurepgtest.OtherName, weak, false},
		{azurepgtest.Downgrades, plain, true},
		{azurepgtest.SkipsNegotiation, plain, true},
	}
	for _, tt := range tests {
		t.Run(string(tt.evil), func(t *testing.T) {
			t.Parallel()
			r := azurepgtest.Record(t, tt.evil)
			connect(t, r, false, tt.change)
			if got := r.Passwords(); len(got) != 1 || got[0] != "secret" {
				t.Errorf("Passwords() = %q; want secret", got)
			}
			if got := strings.Contains(string(r.Clear()), "secret"); got != tt.inClear {
				t.Errorf("Clear() holds the password: %v; want %v", got, tt.inClear)
			}
		})
	}
}

func TestRecorderMissesNobodyInAHurry(t *testing.T) {
	t.Parallel()
	r := azurepgtest.Record(t, azurepgtest.NeverAnswers)
	for n := 1; n <= 200; n++ {
		conn, err := net.Dial("tcp", r.Addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "secret")
		conn.Close()
		if got := strings.Count(string(r.Clear()), "secret"); got != n {
			t.Fatalf("Clear() holds %d secrets; want %d", got, n)
		}
	}
	if got := r.Connections(); got != 200 {
		t.Errorf("Connections() = %d; want 200", got)
	}
}
