package azurepg_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
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
