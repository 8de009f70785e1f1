package doctor_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/doctor"
)

// oddServer lets everybody in who has a token, and answers each query with answer.
func oddServer(t *testing.T, cert tls.Certificate, answer func(b *pgproto3.Backend, raw net.Conn, sql string)) azurepg.Host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go letIn(raw, cert, answer)
		}
	}()
	return azurepg.Host{Name: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
}

func letIn(raw net.Conn, cert tls.Certificate, answer func(*pgproto3.Backend, net.Conn, string)) {
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(raw, make([]byte, 8)); err != nil { // SSLRequest
		return
	}
	if _, err := raw.Write([]byte("S")); err != nil {
		return
	}
	conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if b.Flush() != nil || b.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	if _, err := b.Receive(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	b.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for b.Flush() == nil {
		m, err := b.Receive()
		if err != nil {
			return
		}
		if q, ok := m.(*pgproto3.Query); ok {
			answer(b, conn, q.String)
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		}
	}
}

// row sends one row of text; a nil value is NULL.
func row(b *pgproto3.Backend, values ...[]byte) {
	d := &pgproto3.RowDescription{}
	for range values {
		d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte("c"), DataTypeOID: 25, DataTypeSize: -1})
	}
	b.Send(d)
	b.Send(&pgproto3.DataRow{Values: values})
	b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
}

// columns is how many values the doctor's query asks for.
func columns(sql string) int { return max(1, strings.Count(sql, ")::pg_catalog.text")) }

// Whatever a server answers that calls itself PostgreSQL, the examination ends, says
// nothing secret and nothing that moves a cursor, and does not make things up.
func TestOddServersAreSurvived(t *testing.T) {
	noAzure(t)
	ca := azurepgtest.NewAuthority(t)
	roots := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(roots, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	const token = "THE-TOKEN"
	all := func(value []byte) func(*pgproto3.Backend, net.Conn, string) {
		return func(b *pgproto3.Backend, _ net.Conn, sql string) {
			values := make([][]byte, columns(sql))
			for i := range values {
				values[i] = value
			}
			row(b, values...)
		}
	}
	for name, answer := range map[string]func(*pgproto3.Backend, net.Conn, string){
		"NULL":         all(nil),
		"nothing":      all([]byte{}),
		"words":        all([]byte("postgres://u:HUNTER2@h/d \x1b[31m\r\n" + token)),
		"not a number": all([]byte("NaN")),
		"infinity":     all([]byte("-Infinity")),
		"a clock and no more": func(b *pgproto3.Backend, c net.Conn, sql string) {
			if strings.Contains(sql, "clock_timestamp") {
				row(b, fmt.Append(nil, time.Now().Unix()))
				return
			}
			all(nil)(b, c, sql)
		},
		"too many columns": func(b *pgproto3.Backend, _ net.Conn, _ string) { row(b, make([][]byte, 100)...) },
		"no columns":       func(b *pgproto3.Backend, _ net.Conn, _ string) { row(b) },
		"no rows":          func(b *pgproto3.Backend, _ net.Conn, _ string) { b.Send(&pgproto3.EmptyQueryResponse{}) },
		"an error": func(b *pgproto3.Backend, _ net.Conn, _ string) {
			b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "42P01", Message: "password=HUNTER2 \x1b[31m" + token})
		},
		"an error in pieces": func(b *pgproto3.Backend, c net.Conn, _ string) { _, _ = c.Write([]byte("E\x00\x00\x00\x05\x00")) },
		"garbage": func(_ *pgproto3.Backend, c net.Conn, _ string) {
			_, _ = c.Write([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
		},
		"the end": func(_ *pgproto3.Backend, c net.Conn, _ string) { _ = c.Close() },
		"silence": func(_ *pgproto3.Backend, c net.Conn, _ string) { _, _ = io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cfg := &azurepg.Config{Hosts: []azurepg.Host{oddServer(t, ca.Server(), answer)}, User: "app", SSLRootCert: roots, Credential: minted(token)}
			r := doctor.ExamineConfig(ctx, cfg, func(s doctor.Step) {
				if s.Name == doctor.StepLogin && name == "silence" {
					time.AfterFunc(50*time.Millisecond, cancel)
				}
			})
			if s := step(t, r, doctor.StepLogin); s.Status != doctor.OK {
				t.Fatalf("the login:\n%s", r)
			}
			js, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{r.String(), string(js)} {
				if strings.Contains(text, "HUNTER2") || strings.Contains(text, token) || strings.ContainsAny(text, "\x1b\r") {
					t.Errorf("it shows\n%s", text)
				}
			}
			if s := step(t, r, doctor.StepServer); strings.Contains(s.Problem, "of 0 connections") || strings.Contains(s.Problem, "clock is 2562047h") {
				t.Errorf("it makes up %q", s.Problem)
			}
		})
	}
}
