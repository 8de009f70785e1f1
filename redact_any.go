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
	parts    int
	hidden   bool // something was left out
	jsonOnly bool // only encoding/json reads this part: the exported fields, and not as text
}

// asJSON calls read for a part that fmt does not go into. What encoding/json leaves
// alone there, its owner may be changing.
func (p *printer) asJSON(read func() string) string {
	before := p.jsonOnly
	p.jsonOnly = true
	defer func() { p.jsonOnly = before }()
	return read()
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
	if v.IsValid() && v.CanInterface() && printsItself(v) {
		switch x := v.Interface().(type) {
		case *url.Userinfo:
			if x != nil {
				return p.text("://" + x.String() + "@")[len("://"):]
			}
		case slog.Attr:
			clean, changed := redactAttr(x)
			p.hidden = p.hidden || changed
			return p.text(clean.String())
		}
		shown, inText, inJSON := p.methods(v)
		switch {
		case p.jsonOnly && inJSON:
			return shown
		case !p.jsonOnly && inText:
			if !inJSON {
				p.asJSON(func() string { return p.byKind(v, depth) })
			}
			return shown
		}
		if parts := p.byKind(v, depth); shown == "" {
			return parts
		}
		return shown
	}
	return p.byKind(v, depth)
}

var printing = []reflect.Type{
	reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[json.Marshaler](),
	reflect.TypeFor[fmt.Formatter](), reflect.TypeFor[fmt.Stringer](), reflect.TypeFor[error](),
}

// printsItself reports whether v has methods to ask. Others are not even copied.
func printsItself(v reflect.Value) bool {
	for i, t := range printing {
		if v.Type().Implements(t) || i < 2 && v.CanAddr() && reflect.PointerTo(v.Type()).Implements(t) {
			return true
		}
	}
	return false
}

// methods asks the methods by which v prints itself. inText, inJSON: fmt asks one
// of them, or encoding/json does, in place of looking at v's parts.
func (p *printer) methods(v reflect.Value) (shown string, inText, inJSON bool) {
	x := v.Interface()
	if v.CanAddr() { // encoding/json asks pointers too
		x = v.Addr().Interface()
	}
	if _, ok := x.(json.Marshaler); ok {
		shown, inJSON = p.try(func() ([]byte, error) { return json.Marshal(x) }), true
	}
	if m, ok := x.(encoding.TextMarshaler); ok {
		shown, inJSON = p.try(m.MarshalText), true
	}
	if p.jsonOnly {
		return shown, false, inJSON
	}
	x = v.Interface()
	_, isFormatter := x.(fmt.Formatter)
	_, isStringer := x.(fmt.Stringer)
	err, isError := x.(error)
	if isError && isFormatter { // which may tell less than the text
		p.try(func() ([]byte, error) { return []byte(err.Error()), nil })
	}
	if isFormatter || isStringer || isError {
		shown, inText = p.text(fmt.Sprintf("%+v", x)), true
	}
	return shown, inText, inJSON
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
		switch {
		case v.IsNil():
		case depth == 0 && !p.jsonOnly:
			return "&" + p.value(v.Elem(), depth+1)
		case v.CanInterface():
			return "&" + p.asJSON(func() string { return p.value(v.Elem(), depth+1) })
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
	called := "" // what a field Name or Key says that the field Value is
	for i := range v.NumField() {
		f, part := v.Type().Field(i), v.Field(i)
		if p.jsonOnly && !f.IsExported() && !f.Anonymous {
			continue
		}
		inJSON, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case part.Kind() == reflect.String && (f.Name == "Name" || f.Name == "Key"):
			called = part.String()
		case f.Name == "Value" && isSecretKey(called):
			inJSON = called
		case promotes(f) && !part.IsNil():
			shown = append(shown, f.Name+":"+p.asJSON(func() string { return p.byKind(part.Elem(), depth+1) }))
			continue
		}
		shown = append(shown, p.named(part, depth, f.Name, inJSON))
	}
	return "{" + strings.Join(shown, " ") + "}"
}

// promotes reports whether encoding/json shows the exported fields behind f, which is
// not exported itself.
func promotes(f reflect.StructField) bool {
	return f.Anonymous && !f.IsExported() && f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct
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
