package azurepg_test

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// A server is demoted under its sessions, as Azure does when the disk is full, and
// another is promoted. Who has asked for sessions that can write gets one after the
// first refused write; others keep what they have.
func TestConnectionToADemotedServerLeavesThePool(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	template := toHosts(t, s, "writer")
	if err := s.Postgres.Exec(t.Context(), `create table written (row text); grant insert on written to writer`); err != nil {
		t.Fatal(err)
	}
	standby, err := s.Postgres.AddStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type session struct {
		pool
		attrs, where string
	}
	var sessions []session
	for _, attrs := range []string{"read-write", "any"} {
		cfg := template.Clone()
		cfg.Hosts, cfg.TargetSessionAttrs = hostsOf(s.Postgres, standby), attrs
		for _, p := range pools(t, cfg) {
			if err := p.exec(t.Context(), write); err != nil {
				t.Fatal(err)
			}
			where, err := p.ask(t.Context(), sessionID)
			if err != nil {
				t.Fatal(err)
			}
			sessions = append(sessions, session{p, attrs, where})
		}
	}
	demote(t, s.Postgres)
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range sessions {
		t.Run(p.attrs+", "+p.name, func(t *testing.T) {
			waitFor(t, "demotion", func() bool {
				on, err := p.ask(t.Context(), "show transaction_read_only")
				return err != nil || on == "on"
			})
			wantReadOnly(t, p.exec(t.Context(), write))
			err := p.exec(t.Context(), write)
			if p.attrs == "any" {
				wantReadOnly(t, err)
			} else if err != nil {
				t.Errorf("the next write: %v; want it on the other server", err)
			}
			if now, err := p.ask(t.Context(), sessionID); err != nil || (now == p.where) != (p.attrs == "any") {
				t.Errorf("session %s after %s, %v", now, p.where, err)
			}
		})
	}
}

const (
	write     = "insert into written values ('x')"
	sessionID = "select pg_backend_pid() || ' since ' || pg_postmaster_start_time()"
)

// demote makes a server read-only for its present sessions too.
func demote(t *testing.T, p *azurepgtest.Postgres) {
	t.Helper()
	for _, sql := range []string{"alter system set default_transaction_read_only = on", "select pg_reload_conf()"} {
		if err := p.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

func wantReadOnly(t *testing.T, err error) {
	t.Helper()
	var server interface{ SQLState() string }
	if !errors.As(err, &server) || server.SQLState() != "25006" {
		t.Errorf("a write on the demoted server: %v; want 25006", err)
	}
}

// With lib/pq the transaction can be rolled back, and the connection goes then; with pgx
// it goes with the refused statement.
func TestTransactionOnADemotedServerEndsAndTheNextIsElsewhere(t *testing.T) {
	noAzure(t)
	s := azurepgtest.Start(t)
	cfg := toHosts(t, s, "writer")
	if err := s.Postgres.Exec(t.Context(), `create table written (row text); grant insert on written to writer`); err != nil {
		t.Fatal(err)
	}
	standby, err := s.Postgres.AddStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Hosts, cfg.TargetSessionAttrs = hostsOf(s.Postgres, standby), "read-write"
	dbs := map[string]*sql.DB{}
	for _, b := range bases {
		cfg := cfg.Clone()
		cfg.Base = b.base
		c, err := azurepg.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		dbs[b.name] = openConnector(t, c)
		if _, err := dbs[b.name].ExecContext(t.Context(), write); err != nil {
			t.Fatal(err)
		}
	}
	demote(t, s.Postgres)
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, db := range dbs {
		waitFor(t, "demotion", func() bool {
			var on string
			err := db.QueryRowContext(t.Context(), "show transaction_read_only").Scan(&on)
			return err != nil || on == "on"
		})
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Not BeginTx: lib/pq's says READ WRITE, which a demotion by a setting allows.
		if _, err := conn.ExecContext(t.Context(), "begin"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = conn.ExecContext(t.Context(), write)
		wantReadOnly(t, err)
		_, rollback := conn.ExecContext(t.Context(), "rollback")
		if name == "lib/pq" && rollback != nil { // pgx's connection is gone by now
			t.Errorf("%s: rollback: %v", name, rollback)
		}
		_ = conn.Close()
		for range 2 {
			if _, err := db.ExecContext(t.Context(), write); err != nil {
				t.Errorf("%s, the next write: %v; want it on the other server", name, err)
			}
		}
	}
}
