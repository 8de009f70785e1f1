package azurepg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const tokenText = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJIVU5URVIyIn0.SFVOVEVSMl9zaWduYXR1cmU"

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.StringValue("password=HUNTER2") }

// jsonError shows in JSON what its text hides.
type jsonError struct{}

func (jsonError) Error() string                { return "clean" }
func (jsonError) MarshalJSON() ([]byte, error) { return []byte(`{"password":"HUNTER2"}`), nil }

func TestRedactHandlerHidesSecretsWhereverTheyStand(t *testing.T) {
	type nested struct{ Inner *struct{ DSN string } }
	deep := nested{Inner: &struct{ DSN string }{"postgres://u:HUNTER2@h/d"}}
	for name, newHandler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			l := slog.New(NewRedactHandler(newHandler(&out)))
			l.Info("postgres://u:HUNTER2@h/d")
			l.Info("x", "string", "password=HUNTER2", "error", errors.New("password=HUNTER2"), "n", 1)
			l.Info("x", "joined", fmt.Errorf("a: %w", errors.New("client_secret=HUNTER2")), "valuer", valuer{})
			l.Info("x", slog.Group("g", slog.Group("h", "dsn", "postgres://u:HUNTER2@h/d")))
			l.Info("x", "struct", deep, "map", map[string]string{"password": "HUNTER2"}, "slice", []string{"password=HUNTER2"})
			l.With("dsn", "password=HUNTER2").WithGroup("g").Info("x", "valuer", valuer{})
			l.Info("x", "password", "HUNTER2", "n", 1, "Client_Secret", "HUNTER2", slog.Group("g", "db_password", "HUNTER2"))
			l.With("pwd", "HUNTER2").Info("x", "bytes", []byte("password=HUNTER2"), "json", jsonError{})
			if strings.Contains(out.String(), "HUNTER2") {
				t.Errorf("a secret was logged:\n%s", out.String())
			}
			if n := strings.Count(out.String(), "\n"); n != 8 {
				t.Errorf("%d lines; want 8", n)
			}
		})
	}
}

func TestRedactHandlerLeavesCleanRecordsAsTheyAre(t *testing.T) {
	var with, without bytes.Buffer
	opts := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	for _, l := range []*slog.Logger{slog.New(NewRedactHandler(slog.NewJSONHandler(&with, opts))), slog.New(slog.NewJSONHandler(&without, opts))} {
		l.With("a", 1).WithGroup("g").Info("hello", "b", 2.5, "c", []int{1}, slog.Group("d", "e", true), "f", errors.New("x"))
	}
	if with.String() != without.String() {
		t.Errorf("got  %swant %s", with.String(), without.String())
	}
}

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

func TestForeignTextIsOneCutLine(t *testing.T) {
	got := quoteForeign(strings.Repeat("ü", 300) + "\nlevel=ERROR msg=forged")
	if strings.Contains(got, "\n") || len(got) > foreignLimit+10 || !strings.HasSuffix(got, `…"`) {
		t.Errorf("got %s", got)
	}
	if got := quoteForeign("a\nb " + tokenText); got != `"a\nb [redacted]"` {
		t.Errorf("got %s", got)
	}
}
