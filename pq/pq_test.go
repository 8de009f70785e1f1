package pq_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	libpq "github.com/lib/pq"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/pq"
)

func TestLibPqsOwnTypesWork(t *testing.T) {
	s := azurepgtest.Start(t)
	s.AddServicePrincipal("app")
	db, err := sql.Open(pq.DriverName, s.DSN("app"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(`create table numbers (n int primary key, tags text[], raw bytea)`); err != nil {
		t.Fatal(err)
	}
	t.Run("CopyIn", func(t *testing.T) {
		if err := copyIn(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("Array", func(t *testing.T) {
		var tags []string
		var raw []byte
		err := db.QueryRow(`select tags, raw from numbers where n = any($1) and raw = $2`, libpq.Array([]int{2, 3}), []byte{0, 2}).Scan(libpq.Array(&tags), &raw)
		if err != nil || strings.Join(tags, " ") != "even two" || len(raw) != 2 {
			t.Errorf("got %q, %v, %v; want [even two]", tags, raw, err)
		}
	})
	t.Run("Error", func(t *testing.T) {
		_, err := db.Exec(`insert into numbers values (2)`)
		if pe, ok := err.(*libpq.Error); !ok || pe.Code.Name() != "unique_violation" || pe.Constraint != "numbers_pkey" {
			t.Errorf("got %T %v; want a bare *pq.Error", err, err)
		}
	})
	t.Run("ConnectorWithNotificationHandler", func(t *testing.T) { listen(t, s.DSN("app")) })
}

// With binary_parameters a query is one round trip: its parameters follow at once.
func TestBinaryParametersIsForLibPq(t *testing.T) {
	for value, want := range map[string]byte{"yes": 'B', "true": 'B', "on": 'B', "1": 'B', "no": 'D', "false": 'D', "off": 'D', "0": 'D', "": 'D'} {
		kind := make(chan byte, 1)
		s := &fakeServer{script: hangsUp(func(conn net.Conn) {
			says(askPassword, nil, join(letIn, ready), nil)(conn) // and after Parse
			b := make([]byte, 1)
			_, _ = conn.Read(b)
			kind <- b[0]
		})}
		cfg := &azurepg.Config{Hosts: []azurepg.Host{{Name: "db.example.com", Port: 5432}}}
		if value != "" {
			cfg.BaseParams = map[string]string{"binary_parameters": value}
		}
		open, err := pq.Base(cfg)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := open(t.Context(), azurepg.Login{User: "app", Password: bearer, Dial: s.dial})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.(driver.QueryerContext).QueryContext(t.Context(), "select $1", []driver.NamedValue{{Ordinal: 1, Value: []byte{1}}})
		_ = conn.Close()
		if got := <-kind; got != want {
			t.Errorf("binary_parameters=%s: %c follows Parse; want %c", value, got, want)
		}
		s.sent()
	}
}

func copyIn(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	//lint:ignore SA1019 programs that come from lib/pq have it
	stmt, err := tx.PrepareContext(ctx, libpq.CopyIn("numbers", "n", "tags", "raw"))
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	for n, tags := range [][]string{{"zero"}, {"odd"}, {"even", "two"}} {
		if _, err := stmt.ExecContext(ctx, n, libpq.Array(tags), []byte{0, byte(n)}); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	_, err = stmt.ExecContext(ctx)
	return errors.Join(err, stmt.Close(), tx.Commit())
}

func listen(t *testing.T, dsn string) {
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Base = pq.Base
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	db := sql.OpenDB(libpq.ConnectorWithNotificationHandler(connector, func(n *libpq.Notification) { heard = append(heard, n.Extra) }))
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, statement := range []string{"listen news", "notify news, 'hello'", "notify news, 'world'"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(heard, " "); got != "hello world" {
		t.Errorf("heard %q; want hello world", got)
	}
}

// lib/pq reads PQGO_DEBUG when the program starts.
func TestDebugOutputOfLibPqShowsNoToken(t *testing.T) {
	if os.Getenv("PQGO_DEBUG") != "" {
		s := &fakeServer{script: says(askPassword, nil, join(letIn, ready))}
		conn, err := logIn(t, s)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_, err = logIn(t, &fakeServer{script: says(askPassword, nil, message('E', "SFATAL\x00C28000\x00Mno "+bearer+"\x00\x00"))})
		t.Logf("refused: %v", err)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "PQGO_DEBUG=1")
	out, err := cmd.CombinedOutput()
	text := string(out)
	if strings.Contains(text, bearer) {
		t.Errorf("the token is in\n%s", text)
	}
	if err != nil || !strings.Contains(text, "password=azurepg") || !strings.Contains(text, "refused: ") {
		t.Fatalf("%v\n%s\nlacks lib/pq's debug output", err, text)
	}
}
