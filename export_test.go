package azurepg

import (
	"encoding/json"
	"os"
	"testing"
)

// LeakyDSN is a DSN whose text comes out of net/url, lib/pq or pgx, with what must
// not.
type LeakyDSN struct {
	DSN     string
	Secrets []string
}

// LeakyDSNs returns the corpus of them.
func LeakyDSNs(t *testing.T) []LeakyDSN {
	t.Helper()
	data, err := os.ReadFile("testdata/leaky_dsns.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []LeakyDSN
	if err := json.Unmarshal(data, &rows); err != nil || len(rows) != 54 {
		t.Fatalf("%d DSNs, %v; want 54", len(rows), err)
	}
	return rows
}
