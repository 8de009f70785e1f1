package azurepg_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg"
)

// observed is one side of a connection. It notes each message and whether pgx's config
// has a password then.
type observed struct {
	io.Reader
	io.Writer
	note func(message byte)
}

func (o observed) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	if n > 0 {
		o.note(p[0])
	}
	return n, err
}

func (o observed) Write(p []byte) (int, error) {
	o.note(p[0])
	n, err := o.Writer.Write(p)
	o.note('.')
	return n, err
}

// observe puts an observed between azurepg and pgx, and returns what has been noted: "+"
// stands behind what came or went while the config had a password. It locks, since pgx
// says goodbye on a broken connection from a goroutine of its own.
func observe(cc *pgx.ConnConfig) (notes func() string) {
	var (
		config *pgconn.Config
		mu     sync.Mutex
		all    []string
	)
	cc.AfterNetConnect = func(_ context.Context, c *pgconn.Config, conn net.Conn) (net.Conn, error) {
		config = c
		return conn, nil
	}
	build := cc.BuildFrontend
	cc.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		o := observed{r, w, func(message byte) {
			note := fmt.Sprintf("%q", message)
			if config.Password != "" {
				note += "+"
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, note)
		}}
		return build(o, o)
	}
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(all, " ")
	}
}

// The start-up packet begins with a zero, and what is read comes in a header and a body.
func TestPgxHasTheTokenOnlyFromTheRequestToTheAnswer(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	cfg := throughHosts(t, s)
	var notes func() string
	cfg.ConfigurePgx = func(cc *pgx.ConnConfig) error { notes = observe(cc); return nil }
	if err := doors["database/sql"](t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	const want = `'\x00' '.' 'R' '\x00'+ 'p'+ '.'`
	if got := notes(); !strings.HasPrefix(got, want) || strings.Count(got, "+") != 2 {
		t.Errorf("%.200s; want %s and no more +", got, want)
	}
}

// What pgx cannot read, and what a server says besides, is no reason to hold the token.
func TestPgxHasNoTokenWhenTheServerDoesNotAskForIt(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	request, err := (&pgproto3.AuthenticationCleartextPassword{}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string][]byte{
		"nothing":                      nil,
		"half a request":               request[:7],
		"a request without its code":   {'R', 0, 0, 0, 4},
		"a length below 4":             append([]byte{'N', 0, 0, 0, 0}, request...),
		"a length beyond all bounds":   append([]byte{'N', 0xff, 0xff, 0xff, 0xff}, request...),
		"a message that does not end":  append([]byte{'N', 0, 0, 0, 6, 'S', 'x'}, request...),
		"a message unknown to pgx":     append([]byte{'?', 0, 0, 0, 4}, request...),
		"a request inside of a notice": append([]byte{'N', 0, 0, 0, 14, 'S'}, request...),
		"MD5":                          {'R', 0, 0, 0, 12, 0, 0, 0, 5, 1, 2, 3, 4},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := throughHosts(t, s)
			cfg.Hosts = []azurepg.Host{scripted(t, func(_ int64, conn net.Conn) { _, _ = conn.Write(says) })}
			var notes func() string
			cfg.ConfigurePgx = func(cc *pgx.ConnConfig) error { notes = observe(cc); return nil }
			if err := doors["database/sql"](t.Context(), cfg); err == nil {
				t.Fatal("connected")
			}
			if got := notes(); strings.Contains(got, "+") {
				t.Errorf("the config had the token: %s", got)
			}
		})
	}
}

// A notice before the request, and a request in pieces, are read as pgx reads them.
func TestPgxIsGivenTheTokenHoweverTheRequestArrives(t *testing.T) {
	noAzure(t)
	s := sharedAzure(t)
	got := make(chan string, 2) // a refusal is followed by one more login
	cfg := throughHosts(t, s)
	cfg.Hosts = []azurepg.Host{scripted(t, func(_ int64, conn net.Conn) {
		send(conn, &pgproto3.NoticeResponse{Severity: "NOTICE", Message: "welcome"})
		request, err := (&pgproto3.AuthenticationCleartextPassword{}).Encode(nil)
		if err != nil {
			panic(err)
		}
		for piece := range slices.Chunk(request, 1) {
			_, _ = conn.Write(piece)
		}
		got <- string(readMessage(conn))
		send(conn, fatal("28000"))
	})}
	if err := doors["database/sql"](t.Context(), cfg); err == nil {
		t.Fatal("connected")
	}
	message := <-got
	if !slices.ContainsFunc(s.Entra.Tokens(), func(token string) bool { return strings.Contains(message, token) }) {
		t.Errorf("the server was sent %.20q; want the token", message)
	}
}
