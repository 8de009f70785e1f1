package main

import (
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestApplicationWorksWhileTokensRotate(t *testing.T) {
	azure := azurepgtest.Start(t)
	azure.Entra.SetLifetime(6 * time.Second) // the demo's of 3 s are for a machine that does nothing else
	dsn := azure.DSN("quickstart")
	report, err := watch(azure, dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), dsn, 6*time.Second, report); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	report.print(&table)
	if len(report.errors) > 0 || report.rows == 0 || report.azure.Postgres.Refusals() > 0 {
		t.Errorf("errors, no rows or refusals:\n%s", &table)
	}
	tokens := report.connector.Stats().Tokens
	if tokens.Refreshes < 1 || tokens.Fetches > 8 {
		t.Errorf("%d fetches, %d refreshes in 6 s of tokens of 6 s:\n%s", tokens.Fetches, tokens.Refreshes, &table)
	}
	if azure.Entra.TokenRequests() != int(tokens.Fetches) {
		t.Errorf("%d token requests of %d fetches: the pools do not share a token", azure.Entra.TokenRequests(), tokens.Fetches)
	}
	if !strings.Contains(table.String(), "p99") {
		t.Errorf("the table lacks the time to connect:\n%s", &table)
	}
}
