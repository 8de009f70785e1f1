package azurepg

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// discard is a handler that does nothing with what it gets.
type discard struct{}

func (discard) Enabled(context.Context, slog.Level) bool  { return true }
func (discard) Handle(context.Context, slog.Record) error { return nil }
func (d discard) WithAttrs([]slog.Attr) slog.Handler      { return d }
func (d discard) WithGroup(string) slog.Handler           { return d }

// cleanLine has 200 bytes, and what a scanner must stop at.
var cleanLine = strings.Repeat("level=INFO msg=\"connected as app\" host=db.example.com:5432 url=https://login/x took=3ms ", 3)[:200]

func cleanRecord() slog.Record {
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, "connected to the database after a forced fetch", 0)
	r.AddAttrs(slog.String("host", "db.postgres.database.azure.com"), slog.String("user", "alice@contoso.com"),
		slog.String("url", "https://login.microsoftonline.com/contoso.com"), slog.String("error", "password authentication failed for user \"x\""), slog.Int("n", 1))
	return r
}

func BenchmarkRedact(b *testing.B) {
	for name, text := range map[string]string{
		"clean":     cleanLine,
		"key":       cleanLine[:150] + " password=HUNTER2 sslmode=verify-full",
		"URL":       cleanLine[:150] + " postgres://u:HUNTER2@h/d",
		"token":     cleanLine[:100] + " " + tokenText,
		"JSON line": `{"time":"2026-11-23T12:00:00Z","level":"INFO","msg":"fetched","scope":"https://ossrdbms-aad.database.windows.net/.default","took":"3ms","user":"alice@contoso.com","n":1,"host":"db.example.com","tries":[1,2]}`,
		"clean MB":  strings.Repeat(cleanLine, 5000),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Redact(text)
			}
		})
	}
}

func BenchmarkRedactHandler(b *testing.B) {
	h := NewRedactHandler(discard{})
	clean, withError, dirty := cleanRecord(), cleanRecord(), cleanRecord()
	withError.AddAttrs(slog.Any("error", errors.New("connection refused")))
	dirty.AddAttrs(slog.String("dsn", "host=h password=HUNTER2"))
	for name, r := range map[string]slog.Record{"clean": clean, "an error": withError, "a password": dirty} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = h.Handle(b.Context(), r)
			}
		})
	}
}
