package azurepg

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// redactAny looks at a value of any type as handlers do that print it: at its
// text, at its JSON, and at its parts. It reads nothing that they would not.
func redactAny(v slog.Value) (slog.Value, bool) {
	p := printer{}
	switch x := v.Any().(type) {
	case json.RawMessage: // which stays JSON where it can
		if clean := p.text(string(x)); json.Valid([]byte(clean)) {
			return slog.AnyValue(json.RawMessage(clean)), p.hidden
		}
	case error: // printed as its text, whatever else it holds
		shown, _, _ := p.methods(reflect.ValueOf(x))
		return slog.StringValue(shown), p.hidden
	}
	shown := p.value(reflect.ValueOf(v.Any()), 0)
	return slog.StringValue(shown), p.hidden
}

const (
	maxPrintDepth = 12     // of pointers, fields and elements: values that hold themselves have no end
	maxPrintParts = 100000 // of one value
)

// printer prints values about as %+v does, without their secrets.
type printer struct {
	parts  int
	hidden bool // something was left out
}

func (p *printer) hide() string {
	p.hidden = true
	return redacted
}

func (p *printer) text(s string) string {
	clean := Redact(s)
	p.hidden = p.hidden || clean != s
	return clean
}

func (p *printer) value(v reflect.Value, depth int) string {
	p.parts++
	if depth > maxPrintDepth || p.parts > maxPrintParts {
		return p.hide()
	}
	if v.IsValid() && v.CanInterface() {
		if u, ok := v.Interface().(*url.Userinfo); ok && u != nil {
			return p.text("://" + u.String() + "@")[len("://"):]
		}
		if shown, asText, asJSON := p.methods(v); asText {
			if !asJSON {
				p.byKind(v, depth) // which JSON shows
			}
			return shown
		}
	}
	return p.byKind(v, depth)
}

// methods asks the methods by which v prints itself. asText, asJSON: it has some
// for text, and for JSON.
func (p *printer) methods(v reflect.Value) (shown string, asText, asJSON bool) {
	x := v.Interface()
	if m, ok := x.(encoding.TextMarshaler); ok {
		shown, asText, asJSON = p.try(m.MarshalText), true, true
	}
	_, isFormatter := x.(fmt.Formatter)
	_, isStringer := x.(fmt.Stringer)
	err, isError := x.(error)
	if isError && isFormatter { // which may tell less than the text
		p.try(func() ([]byte, error) { return []byte(err.Error()), nil })
	}
	if isFormatter || isStringer || isError {
		shown, asText = p.text(fmt.Sprintf("%+v", x)), true
	}
	if v.CanAddr() && v.Addr().CanInterface() { // encoding/json asks pointers too
		x = v.Addr().Interface()
	}
	if _, ok := x.(json.Marshaler); ok {
		p.try(func() ([]byte, error) { return json.Marshal(x) })
		asJSON = true
	}
	return shown, asText, asJSON
}

// try returns the text that method makes. slog prints the text of a panic.
func (p *printer) try(method func() ([]byte, error)) (shown string) {
	defer func() {
		if r := recover(); r != nil {
			shown = p.text(fmt.Sprintf("!PANIC: %v", r))
		}
	}()
	b, err := method()
	if err != nil {
		return p.text(err.Error())
	}
	return p.text(string(b))
}

// byKind prints v part by part. Pointers are followed where encoding/json does,
// which is not into unexported fields: these may be in use elsewhere.
func (p *printer) byKind(v reflect.Value, depth int) string {
	switch v.Kind() {
	case reflect.Invalid:
		return "<nil>"
	case reflect.String:
		return p.text(v.String())
	case reflect.Interface:
		return p.value(v.Elem(), depth+1)
	case reflect.Pointer:
		if !v.IsNil() && (depth == 0 || v.CanInterface()) {
			return "&" + p.value(v.Elem(), depth+1)
		}
	case reflect.Slice, reflect.Array:
		return p.list(v, depth)
	case reflect.Map:
		return p.table(v, depth)
	case reflect.Struct:
		return p.fields(v, depth)
	}
	return fmt.Sprintf("%+v", v)
}

func (p *printer) list(v reflect.Value, depth int) string {
	switch k := v.Type().Elem().Kind(); {
	case k == reflect.Uint8 && v.Kind() == reflect.Slice:
		return p.text(string(v.Bytes()))
	case k <= reflect.Complex128 && k != reflect.Uint8:
		return fmt.Sprintf("%v", v) // numbers
	}
	var shown []string
	for i := range v.Len() {
		shown = append(shown, p.value(v.Index(i), depth+1))
	}
	return "[" + strings.Join(shown, " ") + "]"
}

func (p *printer) table(v reflect.Value, depth int) string {
	var shown []string
	for entries := v.MapRange(); entries.Next(); {
		key := p.value(entries.Key(), depth+1)
		shown = append(shown, p.named(entries.Value(), depth, key, key))
	}
	slices.Sort(shown)
	return "map[" + strings.Join(shown, " ") + "]"
}

func (p *printer) fields(v reflect.Value, depth int) string {
	var shown []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		inJSON, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		shown = append(shown, p.named(v.Field(i), depth, f.Name, inJSON))
	}
	return "{" + strings.Join(shown, " ") + "}"
}

// named prints name:value, and hides the value whole if one of the names is that
// of a secret, unless there is nothing to hide.
func (p *printer) named(v reflect.Value, depth int, name, otherName string) string {
	if !isSecretKey(name) && !isSecretKey(otherName) {
		return name + ":" + p.value(v, depth+1)
	}
	look := printer{}
	switch shown := look.value(v, depth+1); {
	case v.Kind() == reflect.Bool, slices.Contains([]string{"", redacted, "<nil>", "[]", "map[]"}, shown):
		return name + ":" + shown
	}
	return name + ":" + p.hide()
}
