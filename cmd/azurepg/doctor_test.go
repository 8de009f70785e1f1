package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/doctor"
)

func TestDoctorPrintsTheStepsAndHowTheyEnded(t *testing.T) {
	healthy := invoke(t, environment(azure), "doctor")
	if healthy.code != 0 || healthy.err != "" || strings.Count(healthy.out, "✓ ") != 9 || !strings.Contains(healthy.out, "gave the token") {
		t.Errorf("got %+v; want nine ticks", healthy)
	}
	ill := invoke(t, environment(azure, "PGUSER=nobody"), "doctor")
	ill.wantFailure(t, exitFailed, "doctor", "login failed: ", "the role is missing, misspelt, or of another principal", "pgaadauth_create_principal_with_oid('nobody'")
	if strings.Count(ill.out, "✓ ") != 6 || !strings.Contains(ill.out, "✗ login") || !strings.Contains(ill.out, "- role        needs login") {
		t.Errorf("got\n%s", ill.out)
	}
	broken := invoke(t, environment(azure), "doctor", "host=h sslmode=disable")
	broken.wantFailure(t, exitUsage, "doctor", "dsn failed: sslmode: ", "use verify-full")
	wantNoLeak(t, azure, healthy.out, ill.out, ill.err, broken.out, broken.err)
}

func TestDoctorInJSONIsTheReport(t *testing.T) {
	got := invoke(t, environment(azure, "PGUSER=nobody"), "doctor", "-json")
	got.wantFailure(t, exitFailed, "doctor")
	var report doctor.Report
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || report.OK || len(report.Steps) != 9 || report.FirstFailure().Name != doctor.StepLogin {
		t.Errorf("%v, %s", err, got.out)
	}
	wantNoLeak(t, azure, got.out, got.err)
}
