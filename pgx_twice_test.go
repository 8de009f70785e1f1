package azurepg_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Who calls BeforeConnect by himself may connect twice with what it has set: the second
// login has no token, and the first connection is not touched.
func TestConfigUsedTwiceLeavesTheFirstConnectionAlone(t *testing.T) {
	s := sharedAzure(t)
	c := connector(t, bySecret(s, s.AddServicePrincipal("twice-app")), nil)
	cc, err := pgx.ParseConfig("host=localhost sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cc.Database = "postgres"
	if err := c.BeforeConnect(t.Context(), cc); err != nil {
		t.Fatal(err)
	}
	first, err := pgx.ConnectConfig(t.Context(), cc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close(context.Background()) }()
	if second, err := pgx.ConnectConfig(t.Context(), cc); err == nil {
		_ = second.Close(t.Context())
		t.Error("the second login had a token")
	}
	if err := first.Ping(t.Context()); err != nil {
		t.Errorf("the first connection: %v", err)
	}
}

// While one connect has the token, another one with the same settings gets none, and the
// first does not keep it.
func TestConfigUsedTwiceAtOnceLeavesNoTokenInAConnection(t *testing.T) {
	s := sharedAzure(t)
	c := connector(t, bySecret(s, s.AddServicePrincipal("at-once-app")), nil)
	cc, err := pgx.ParseConfig("host=localhost sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cc.Database = "postgres"
	build, first := cc.BuildFrontend, true
	cc.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend { // the first has been given the token, and has not sent it
		if first {
			first = false
			if second, err := pgx.ConnectConfig(t.Context(), cc); err == nil || !strings.Contains(err.Error(), "call it again") {
				t.Errorf("got %v; want advice", err)
				if err == nil {
					_ = second.Close(t.Context())
				}
			}
		}
		return build(r, w)
	}
	if err := c.BeforeConnect(t.Context(), cc); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), cc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if conn.Config().Password != "" {
		t.Error("the connection keeps the token")
	}
}
