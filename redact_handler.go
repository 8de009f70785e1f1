package azurepg

import (
	"context"
	"log/slog"
	"slices"
)

// NewRedactHandler returns a handler that passes records to next after Redact
// has gone over the message and all attributes: strings, errors, LogValuers,
// groups, and other values, to any depth, as fmt and encoding/json would show
// them. The value of an attribute, field or map key that has a secret's name is
// hidden whole. Values with nothing to hide reach next as they are, LogValuers
// resolved; others become strings. It is as safe for concurrent use as next is,
// and like next reads values while Handle runs.
func NewRedactHandler(next slog.Handler) slog.Handler { return &redactHandler{next} }

type redactHandler struct{ next slog.Handler }

func (h *redactHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *redactHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean, _ := redactAttrs(attrs)
	return &redactHandler{h.next.WithAttrs(clean)}
}

func (h *redactHandler) WithGroup(name string) slog.Handler {
	return &redactHandler{h.next.WithGroup(Redact(name))}
}

func (h *redactHandler) Handle(ctx context.Context, r slog.Record) error {
	message := Redact(r.Message)
	changed := message != r.Message
	var out []slog.Attr // nil while all is clean
	n := 0
	r.Attrs(func(a slog.Attr) bool {
		clean, c := redactAttr(a)
		if c && out == nil {
			out = firstAttrs(r, n)
		}
		if out != nil {
			out = append(out, clean)
		}
		n++
		return true
	})
	if out == nil && !changed {
		return h.next.Handle(ctx, r)
	}
	if out == nil {
		out = firstAttrs(r, n)
	}
	hidden := slog.NewRecord(r.Time, r.Level, message, r.PC)
	hidden.AddAttrs(out...)
	return h.next.Handle(ctx, hidden)
}

// firstAttrs returns the first n attributes of r, which are clean, with room
// for the others.
func firstAttrs(r slog.Record, n int) []slog.Attr {
	out := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		if len(out) == n {
			return false
		}
		out = append(out, a)
		return true
	})
	return out
}

// redactAttrs returns attrs without secrets, and whether that differs from attrs.
func redactAttrs(attrs []slog.Attr) (_ []slog.Attr, changed bool) {
	out := attrs
	for i, a := range attrs {
		clean, c := redactAttr(a)
		if c && !changed {
			out, changed = slices.Clone(attrs), true
		}
		if c {
			out[i] = clean
		}
	}
	return out, changed
}

// redactAttr returns a without secrets, and whether that differs from a. The
// value of a key that is a secret's name is one, whatever it looks like.
func redactAttr(a slog.Attr) (_ slog.Attr, changed bool) {
	key := Redact(a.Key)
	changed = key != a.Key
	a.Key = key
	if isSecretKey(key) && !holdsNothing(a.Value) {
		a.Value = slog.StringValue(redacted)
		return a, true
	}
	clean, c := redactValue(a.Value)
	if c {
		a.Value = clean
	}
	return a, changed || c
}

// holdsNothing reports whether v can be no secret, under any name.
func holdsNothing(v slog.Value) bool {
	switch v.Kind() {
	case slog.KindBool:
		return true
	case slog.KindString:
		return v.String() == ""
	case slog.KindAny:
		return v.Any() == nil
	}
	return false
}

func redactValue(v slog.Value) (_ slog.Value, changed bool) {
	switch v.Kind() {
	case slog.KindString:
		s := v.String()
		clean := Redact(s)
		return slog.StringValue(clean), clean != s
	case slog.KindLogValuer:
		// Resolved once, here: a second call could answer otherwise.
		resolved, _ := redactValue(v.Resolve())
		return resolved, true
	case slog.KindGroup:
		if group, c := redactAttrs(v.Group()); c {
			return slog.GroupValue(group...), true
		}
	case slog.KindAny:
		return redactAny(v)
	}
	return v, false // numbers, times
}
