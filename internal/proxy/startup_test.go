package proxy_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg/internal/proxy"
)

func TestEncryptionIsDeclinedOnce(t *testing.T) {
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{})
	for name, tt := range map[string]struct {
		requests [][]byte
		code     string // empty: it is let in
	}{
		"none":         {nil, ""},
		"TLS":          {[][]byte{sslRequest}, ""},
		"GSSAPI, TLS":  {[][]byte{gssRequest, sslRequest}, ""},
		"TLS, GSSAPI":  {[][]byte{sslRequest, gssRequest}, ""},
		"TLS twice":    {[][]byte{sslRequest, sslRequest}, "0A000"},
		"GSSAPI twice": {[][]byte{gssRequest, sslRequest, gssRequest}, "0A000"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t)
			for i, r := range tt.requests {
				write(t, conn, r)
				if i == len(tt.requests)-1 && tt.code != "" {
					wantError(t, conn, tt.code)
					return
				}
				answer := make([]byte, 1)
				if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != 'N' {
					t.Fatalf("got %q, %v; want N", answer, err)
				}
			}
			enter(t, conn)
		})
	}
}

func TestStartupPacketsThatAreRefused(t *testing.T) {
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{})
	many := []string{}
	for range 201 {
		many = append(many, "x", "y")
	}
	for name, tt := range map[string]struct {
		packet []byte
		code   string
	}{
		"replication":             {startupPacket(version30, "user", "u", "replication", "database"), "0A000"},
		"physical replication":    {startupPacket(version30, "user", "u", "replication", "ON"), "0A000"},
		"replication of its own":  {startupPacket(version30, "user", "u", "replication", "perhaps"), "22023"},
		"another database":        {startupPacket(version30, "user", "u", "database", "template1"), "3D000"},
		"protocol 2":              {startupPacket(2<<16, "user", "u"), "0A000"},
		"protocol 4":              {startupPacket(4<<16, "user", "u"), "0A000"},
		"no end":                  {startupPacket(version30, "user", "u")[:14:14], "08P01"},
		"a name without a value":  {fixed(append(startupPacket(version30, "user", "u"), "lonely"...)), "08P01"},
		"too many settings":       {startupPacket(version30, many...), "08P01"},
		"a setting of the server": {startupPacket(version30, "user", "u", "no_such_setting", "x"), "42704"},
		"an encoding of its own":  {startupPacket(version30, "user", "u", "client_encoding", "klingon"), "22023"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t)
			if name == "no end" {
				tt.packet = fixed(tt.packet)
			}
			write(t, conn, tt.packet)
			wantError(t, conn, tt.code)
		})
	}
}

// fixed gives a packet its length.
func fixed(packet []byte) []byte {
	packet = bytes.Clone(packet)
	packet[0], packet[1], packet[2], packet[3] = 0, 0, byte(len(packet)>>8), byte(len(packet))
	return packet
}

func TestNewerProtocolAndOptionsAreNegotiatedDown(t *testing.T) {
	s := serve(t, sharedAzure(t).DSN("app"), proxy.Options{})
	for name, tt := range map[string]struct {
		packet  []byte
		unknown []string
	}{
		"3.2":            {startupPacket(version32, "user", "u"), nil},
		"options":        {startupPacket(version30, "user", "u", "_pq_.shiny", "on", "_pq_.other", "x"), []string{"_pq_.shiny", "_pq_.other"}},
		"3.9 and option": {startupPacket(3<<16|9, "user", "u", "_pq_.shiny", "on"), []string{"_pq_.shiny"}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t)
			write(t, conn, tt.packet)
			first := make([]byte, 1)
			if _, err := io.ReadFull(conn, first); err != nil || first[0] != 'v' {
				t.Fatalf("the first message is %q, %v; want NegotiateProtocolVersion", first, err)
			}
			var said pgproto3.NegotiateProtocolVersion
			if err := said.Decode(hear(t, io.MultiReader(bytes.NewReader(first), conn), 'v')); err != nil {
				t.Fatal(err)
			}
			if said.NewestMinorProtocol != version30 || strings.Join(said.UnrecognizedOptions, " ") != strings.Join(tt.unknown, " ") {
				t.Errorf("got version %#x and %q; want %#x and %q", said.NewestMinorProtocol, said.UnrecognizedOptions, version30, tt.unknown)
			}
			if hear(t, conn, 'Z') == nil {
				t.Error("it was not let in")
			}
		})
	}
}

func TestDatabaseIsTheDSNsUnlessClientsMayChoose(t *testing.T) {
	azure := sharedAzure(t)
	fixedOne := serve(t, azure.DSN("app"), proxy.Options{})
	chosen := serve(t, azure.DSN("app"), proxy.Options{AllowDatabase: true})
	for name, tt := range map[string]struct {
		s              *served
		user, database string
		want           string // part of an error, if it is more than a name
	}{
		"none":                    {fixedOne, "u", "", "postgres"},
		"the user's name":         {fixedOne, "u", "u", "postgres"},
		"the DSN's":               {fixedOne, "u", "postgres", "postgres"},
		"another":                 {fixedOne, "u", "template1", "is not the one that azurepg proxy logs in to"},
		"chosen, none":            {chosen, "u", "", "postgres"},
		"chosen":                  {chosen, "u", "template1", "template1"},
		"chosen, the user's name": {chosen, "template1", "template1", "template1"},
		"chosen, missing":         {chosen, "u", "missing", `database "missing" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := pgx.ParseConfig(tt.s.dsn())
			if err != nil {
				t.Fatal(err)
			}
			config.User, config.Database = tt.user, tt.database
			conn, err := pgx.ConnectConfig(t.Context(), config)
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) || !strings.Contains(tt.want, " ") {
					t.Errorf("got %v; want %s", err, tt.want)
				}
				return
			}
			defer func() { _ = conn.Close(t.Context()) }()
			var got, user string
			if err := conn.QueryRow(t.Context(), "select current_database(), current_user").Scan(&got, &user); err != nil || got != tt.want || user != "app" {
				t.Errorf("in %q as %q, %v; want %q as app", got, user, err, tt.want)
			}
		})
	}
}

// The DSN may leave the database out, and the user too.
func TestDatabaseOfADSNWithoutOneIsTheRoles(t *testing.T) {
	azure := sharedAzure(t)
	s := serve(t, strings.Replace(azure.DSN("app"), "/postgres?", "/?", 1), proxy.Options{})
	conn := s.dial(t)
	write(t, conn, startupPacket(version30, "user", "u", "database", "postgres"))
	if said := wantError(t, conn, "3D000"); !strings.Contains(said.Hint, `"app"`) {
		t.Errorf("the hint is %q; want it to name app", said.Hint)
	}
}
