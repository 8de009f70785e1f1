package azurepg_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

const bearer = "THE-TOKEN"

// toRecorder is a Config for rec with the credential that gives bearer.
func toRecorder(t *testing.T, rec *azurepgtest.Recorder, mode string) *azurepg.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(rec.Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &azurepg.Config{
		Hosts: []azurepg.Host{{Name: host, Port: uint16(n)}}, User: "app", SSLMode: mode, ConnectTimeout: time.Minute,
		Credential: giving(bearer),
	}
	if mode != "require" {
		cfg.SSLRootCert = rec.CAFile
	}
	return cfg
}

// doors are the ways to a connection, those of bases too.
var doors = withBases(map[string]func(context.Context, *azurepg.Config) error{
	"pgxpool": func(ctx context.Context, cfg *azurepg.Config) error {
		c, err := azurepg.NewConnector(cfg)
		if err != nil {
			return err
		}
		config, err := c.PoolConfig()
		if err != nil {
			return err
		}
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return err
		}
		defer pool.Close()
		return pool.Ping(ctx)
	},
	"Login.Dial": func(ctx context.Context, cfg *azurepg.Config) error {
		cfg = cfg.Clone()
		cfg.Base = func(cfg *azurepg.Config) (azurepg.OpenFunc, error) {
			return func(ctx context.Context, login azurepg.Login) (driver.Conn, error) {
				h := cfg.Hosts[0]
				conn, err := login.Dial(ctx, "tcp", net.JoinHostPort(h.Name, strconv.Itoa(int(h.Port))))
				if err != nil {
					return nil, err
				}
				defer func() { _ = conn.Close() }()
				_, _ = conn.Write([]byte(login.Password)) // a base without any care
				return nil, errors.New("dialled")
			}, nil
		}
		c, err := azurepg.NewConnector(cfg)
		if err != nil {
			return err
		}
		_, err = c.Connect(ctx)
		return err
	},
})

// wantNothing fails the test if a byte of the token has arrived at rec.
func wantNothing(t *testing.T, rec *azurepgtest.Recorder) {
	t.Helper()
	if clear := rec.Clear(); bytes.Contains(clear, []byte(bearer)) {
		t.Errorf("the token arrived in clear")
	}
	for _, password := range rec.Passwords() {
		t.Errorf("a password message arrived, of %d bytes", len(password))
	}
}

func TestNoTokenReachesAServerBelowTheFloor(t *testing.T) {
	for _, row := range []struct {
		evil  azurepgtest.Evil
		modes []string
		says  string
	}{
		{azurepgtest.SkipsNegotiation, []string{"require", "verify-ca", "verify-full"}, ""},
		{azurepgtest.RefusesTLS, []string{"require", "verify-ca", "verify-full"}, "TLS"},
		{azurepgtest.SelfSigned, []string{"verify-ca", "verify-full"}, "not in the file of sslrootcert"},
		{azurepgtest.OtherName, []string{"verify-full"}, "set host to a name in the certificate"},
		{azurepgtest.OldTLS, []string{"require", "verify-ca", "verify-full"}, ""},
		{azurepgtest.NeverAnswers, []string{"verify-full"}, ""},
	} {
		for _, mode := range row.modes {
			for door, connect := range doors {
				t.Run(string(row.evil)+", sslmode="+mode+", "+door, func(t *testing.T) {
					t.Parallel()
					rec := azurepgtest.Record(t, row.evil)
					cfg := toRecorder(t, rec, mode)
					if row.evil == azurepgtest.NeverAnswers {
						cfg.ConnectTimeout = time.Second
					}
					err := connect(t.Context(), cfg)
					if err == nil || err.Error() == "dialled" {
						t.Fatalf("connected")
					}
					if !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), bearer) {
						t.Errorf("got %v; want %q and no token", err, row.says)
					}
					if door != "pgxpool" && strings.Contains(err.Error(), "\n") { // pgxpool returns pgx's own error
						t.Errorf("got %q; want one line", err)
					}
					if rec.Connections() == 0 {
						t.Error("the server was never asked")
					}
					wantNothing(t, rec)
				})
			}
		}
	}
}

func TestNoTokenAnswersAnotherKindOfAuthentication(t *testing.T) {
	for _, evil := range []azurepgtest.Evil{azurepgtest.AsksMD5, azurepgtest.AsksSCRAM, azurepgtest.AsksNothing} {
		for _, door := range loginDoors {
			t.Run(string(evil)+", "+door, func(t *testing.T) {
				t.Parallel()
				rec := azurepgtest.Record(t, evil)
				if err := doors[door](t.Context(), toRecorder(t, rec, "verify-full")); err == nil || strings.Contains(err.Error(), bearer) {
					t.Errorf("got %v; want an error without the token", err)
				}
				wantNothing(t, rec)
			})
		}
	}
}

func TestRecorderWouldSeeTheToken(t *testing.T) {
	for _, door := range loginDoors {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			rec := azurepgtest.Record(t, azurepgtest.AsksPassword)
			_ = doors[door](t.Context(), toRecorder(t, rec, "verify-full"))
			if got := rec.Passwords(); len(got) != 1 || got[0] != bearer {
				t.Errorf("passwords: %q; want the token once: the other tests prove nothing", got)
			}
			if bytes.Contains(rec.Clear(), []byte(bearer)) {
				t.Error("the token arrived in clear")
			}
		})
	}
}

func TestNoPlaintextRetryAfterARefusal(t *testing.T) {
	for _, mode := range []string{"require", "verify-full"} {
		for _, door := range loginDoors {
			t.Run(mode+", "+door, func(t *testing.T) {
				t.Parallel()
				rec := azurepgtest.Record(t, azurepgtest.Downgrades)
				err := doors[door](t.Context(), toRecorder(t, rec, mode))
				if err == nil {
					t.Fatal("connected")
				}
				if bytes.Contains(rec.Clear(), []byte(bearer)) {
					t.Error("the token arrived in clear")
				}
				if n := len(rec.Passwords()); n > 1 {
					t.Errorf("the token was sent %d times; want at most once", n)
				}
			})
		}
	}
}

func TestAfterARefusalNoOtherHostGetsTheToken(t *testing.T) {
	for _, door := range loginDoors {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			first, second := azurepgtest.Record(t, azurepgtest.Downgrades), azurepgtest.Record(t, azurepgtest.AsksPassword)
			cfg := toRecorder(t, first, "require")
			cfg.Hosts = append(cfg.Hosts, toRecorder(t, second, "require").Hosts...)
			err := doors[door](t.Context(), cfg)
			if err == nil {
				t.Fatal("connected")
			}
			if door != "pgxpool" && strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q; want one line", err)
			}
			if first.Connections() == 0 {
				t.Error("the first host was not asked")
			}
			if second.Connections() != 0 {
				t.Error("the second host was dialled")
			}
			wantNothing(t, second)
		})
	}
}

func TestAfterARefusedTokenNoOtherHostGetsIt(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	app, other := s.AddServicePrincipal("app"), s.AddServicePrincipal("other")
	s.Postgres.SetRefusal("28000") // at which pgx by itself goes on to the next host
	for door, connect := range doors {
		if door == "Login.Dial" {
			continue
		}
		t.Run(door, func(t *testing.T) {
			second := azurepgtest.Record(t, azurepgtest.AsksPassword)
			cfg, err := azurepg.ParseDSN(bySecret(s, app, "sslmode", "require"))
			if err != nil {
				t.Fatal(err)
			}
			cfg.User, cfg.SSLMode, cfg.SSLRootCert = other.Name, "require", ""
			cfg.Hosts = append(cfg.Hosts, toRecorder(t, second, "require").Hosts...)
			before := s.Postgres.Refusals()
			if err := connect(t.Context(), cfg); err == nil {
				t.Fatal("connected")
			}
			if s.Postgres.Refusals() == before {
				t.Error("the first host did not get to refuse the token")
			}
			if second.Connections() != 0 {
				t.Error("the second host was dialled")
			}
			wantNothing(t, second)
		})
	}
}

func TestDialIsForTheHostsOfTheDSNOnly(t *testing.T) {
	rec := azurepgtest.Record(t, azurepgtest.AsksPassword)
	cfg := toRecorder(t, rec, "verify-full")
	var dialled, later error
	cfg.Base = func(*azurepg.Config) (azurepg.OpenFunc, error) {
		return func(ctx context.Context, login azurepg.Login) (driver.Conn, error) {
			_, dialled = login.Dial(ctx, "tcp", "192.0.2.1:5432")
			_, unix := login.Dial(ctx, "unix", rec.Addr)
			dialled = errors.Join(dialled, unix)
			conn, err := login.Dial(context.WithoutCancel(ctx), "tcp", rec.Addr) // a cancel request, later
			if later = err; err == nil {
				_ = conn.Close()
			}
			return nothingConn{}, nil
		}, nil
	}
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(dialled.Error(), "only the hosts of the DSN"); n != 2 || !errors.Is(dialled, azurepg.ErrInsecureTLS) {
		t.Errorf("other addresses: %v; want them refused", dialled)
	}
	if later != nil {
		t.Errorf("a later dial: %v", later)
	}
}

func TestBlackHoleEndsWithTheContext(t *testing.T) {
	for door, connect := range doors {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			rec := azurepgtest.Record(t, azurepgtest.NeverAnswers)
			cfg := toRecorder(t, rec, "verify-full")
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			start := time.Now()
			if err := connect(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v; want DeadlineExceeded", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v; want about 0.3 s", took)
			}
		})
	}
}
