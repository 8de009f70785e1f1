package azurepg

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const tokenText = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJIVU5URVIyIn0.SFVOVEVSMl9zaWduYXR1cmU"

func TestSecretPrintsRedacted(t *testing.T) {
	s := Secret("HUNTER2")
	in := struct {
		A Secret
		B []Secret
		C map[string]Secret
		D *Secret
	}{s, []Secret{s}, map[string]Secret{"k": s}, &s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, in); strings.Contains(got, "HUNTER2") || strings.Contains(strings.ToLower(got), "48554e") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	b, err := json.Marshal(in)
	if err != nil || strings.Contains(string(b), "HUNTER2") {
		t.Errorf("JSON: %s, %v", b, err)
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "in", in)
	if strings.Contains(out.String(), "HUNTER2") {
		t.Errorf("slog: %s", out.String())
	}
	if got := fmt.Sprint(Secret("")); got != "" {
		t.Errorf("an empty Secret prints as %q; want nothing", got)
	}
}

// The runtime prints the value of a panic without fmt, and knows error and String only.
func TestPanicPrintsNoSecret(t *testing.T) {
	const child = "AZUREPG_TEST_PANIC"
	if os.Getenv(child) != "" {
		panic(Secret("HUNTER2"))
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPanicPrintsNoSecret$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("panic: "+redacted)) || bytes.Contains(out, []byte("HUNTER2")) {
		t.Errorf("%v, %s; want a panic without the secret", err, out)
	}
}

func TestForeignTextIsOneCutLine(t *testing.T) {
	got := quoteForeign(strings.Repeat("ü", 300) + "\nlevel=ERROR msg=forged")
	if strings.Contains(got, "\n") || len(got) > foreignLimit+10 || !strings.HasSuffix(got, `…"`) {
		t.Errorf("got %s", got)
	}
	if got := quoteForeign("a\nb " + tokenText); got != `"a\nb [redacted]"` {
		t.Errorf("got %s", got)
	}
}
