package azurepg

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

type (
	valuer          struct{}
	groupValuer     struct{}
	panickingValuer struct{}
	panickingJSON   struct{}
	stringer        struct{ Public string } // its text hides what its JSON shows
	formatter       struct{}
	textMarshaler   struct{}
	jsonMarshaler   struct{ DSN string }
	jsonError       struct{} // shows in JSON what its text hides
	formattedError  struct{} // shows in its text what %+v hides
	panicker        struct{ DSN string }
	ring            struct {
		Next *ring
		DSN  string
	}
	unexported struct {
		password string
		user     string
	}
	tagged struct {
		P string `json:"client_secret,omitempty"`
	}
	textOfParts struct{ DSN string } // its text hides what fmt shows of it inside other values
	embedding   struct{ *embedded }
	embedded    struct{ DSN string }
	envVar      struct{ Name, Value string }
)

func (valuer) LogValue() slog.Value                  { return slog.StringValue("password=HUNTER2") }
func (groupValuer) LogValue() slog.Value             { return slog.GroupValue(slog.Any("v", valuer{})) }
func (panickingValuer) LogValue() slog.Value         { panic("password=HUNTER2") }
func (panickingJSON) MarshalJSON() ([]byte, error)   { panic("password=HUNTER2") }
func (stringer) String() string                      { return "clean" }
func (formatter) Format(f fmt.State, _ rune)         { _, _ = io.WriteString(f, "password=HUNTER2") }
func (textMarshaler) MarshalText() ([]byte, error)   { return []byte("password=HUNTER2"), nil }
func (textOfParts) MarshalText() ([]byte, error)     { return []byte("clean"), nil }
func (m jsonMarshaler) MarshalJSON() ([]byte, error) { return json.Marshal("x " + m.DSN) }
func (jsonError) Error() string                      { return "clean" }
func (jsonError) MarshalJSON() ([]byte, error)       { return []byte(`{"password":"HUNTER2"}`), nil }
func (formattedError) Error() string                 { return "password=HUNTER2" }
func (formattedError) Format(f fmt.State, _ rune)    { _, _ = io.WriteString(f, "clean") }
func (p panicker) MarshalJSON() ([]byte, error)      { panic(p.DSN) }
func (p panicker) MarshalText() ([]byte, error)      { panic(p.DSN) }
func (p panicker) String() string                    { panic(p.DSN) }

const leakyDSN = "postgres://u:HUNTER2@h/d"

func leakyValues() map[string]any {
	type nested struct{ Inner *struct{ DSN string } }
	u, err := url.Parse("postgres://u:HUNTER2@h/d")
	if err != nil {
		panic(err)
	}
	header := http.Header{"Authorization": {"Basic HUNTER2", "HUN TER2"}}
	circle := &ring{DSN: leakyDSN}
	circle.Next = circle
	return map[string]any{
		"string": "password=HUNTER2", "bytes": []byte("password=HUNTER2"), "raw JSON": json.RawMessage(`{"password":"HUN TER2"}`),
		"broken JSON": json.RawMessage(`{"password":"HUNTER2`), "error": errors.New("password=HUNTER2"), "joined": errors.Join(io.EOF, errors.New(leakyDSN)),
		"wrapped": fmt.Errorf("a: %w", errors.New("client_secret=HUNTER2")), "JSON error": jsonError{}, "formatted error": formattedError{},
		"valuer": valuer{}, "valuer of a group": groupValuer{}, "panicking valuer": panickingValuer{}, "panicking JSON": panickingJSON{}, "panicking methods": panicker{leakyDSN},
		"stringer": stringer{leakyDSN}, "formatter": formatter{}, "text marshaler": textMarshaler{}, "JSON marshaler": jsonMarshaler{leakyDSN},
		"pointer": nested{&struct{ DSN string }{leakyDSN}}, "pointer to pointer": &nested{&struct{ DSN string }{leakyDSN}}, "circle": circle,
		"map": map[string]string{"password": "HUN TER2"}, "map of any": map[string]any{"x": []any{map[string]any{"Client-Secret": []string{"HUNTER2"}}}},
		"map of bytes": map[string][]byte{"x": []byte(leakyDSN)}, "key of a map": map[string]int{leakyDSN: 1}, "numbers": map[string][]int{"password": {72, 85, 78}},
		"slice": []string{"password=HUNTER2"}, "array": [1]string{leakyDSN}, "header": header, "header in a struct": struct{ H http.Header }{header},
		"URL": *u, "pointer to URL": u, "URL in a struct": struct{ U url.URL }{*u}, "user info": u.User, "unexported": unexported{"HUN TER2", "u"}, "tag": tagged{"HUN TER2"},
		"attribute": slog.String("password", "HUN TER2"), "attributes": []any{slog.Group("g", "password", "HUN TER2")}, "attribute in a struct": struct{ A slog.Attr }{slog.String("client_secret", "HUN TER2")},
		"text marshaler in a struct": struct{ T textOfParts }{textOfParts{leakyDSN}}, "embedded pointer": embedding{&embedded{leakyDSN}}, "variable": []envVar{{"AZURE_CLIENT_SECRET", "HUN TER2"}},
	}
}

// handlers make the kinds of handlers that there are. Each writes lines of text.
var handlers = map[string]func(io.Writer) slog.Handler{
	"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
	"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	"own":  func(w io.Writer) slog.Handler { return &verbs{w: w} },
}

// verbs is a handler that prints what it gets in each way of fmt.
type verbs struct {
	discard
	w io.Writer
}

func (h *verbs) WithAttrs(attrs []slog.Attr) slog.Handler { h.print(attrs); return h }
func (h *verbs) WithGroup(string) slog.Handler            { return h }
func (h *verbs) Handle(_ context.Context, r slog.Record) error {
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	h.print(attrs)
	_, err := fmt.Fprintln(h.w, r.Message)
	return err
}

func (h *verbs) print(attrs []slog.Attr) {
	for _, a := range attrs {
		x := a.Value.Any()
		_, _ = fmt.Fprintf(h.w, "%s %v %+v %#v %s ", a.Key, x, x, x, x)
	}
}

func TestRedactHandlerHidesSecretsWhereverTheyStand(t *testing.T) {
	for name, newHandler := range handlers {
		for kind, value := range leakyValues() {
			t.Run(name+"/"+kind, func(t *testing.T) {
				var out bytes.Buffer
				l := slog.New(NewRedactHandler(newHandler(&out)))
				l.Info("x", "k", value)
				l.Info("x", "before", 1, slog.Group("g", "n", 1, slog.Group("h", "k", value)), "after", "y")
				l.With("k", value).WithGroup("g").Info("x", "n", 1)
				l.WithGroup("g").With(slog.Group("h", "k", value)).Info("x")
				for _, secret := range []string{"HUNTER2", "TER2", "[72 85 78]", "72,85,78"} {
					if strings.Contains(out.String(), secret) {
						t.Errorf("%s was logged:\n%s", secret, out.String())
					}
				}
				for line := range strings.Lines(out.String()) {
					if name == "JSON" && !json.Valid([]byte(line)) {
						t.Errorf("no JSON: %s", line)
					}
				}
			})
		}
	}
}

func TestRedactHandlerHidesMessagesAndKeys(t *testing.T) {
	for name, newHandler := range handlers {
		var out bytes.Buffer
		l := slog.New(NewRedactHandler(newHandler(&out)))
		l.Info(leakyDSN)
		l.Info("password=HUNTER2", "a", 1, "b", "c")
		l.Info("x", leakyDSN, 1)
		l.WithGroup(leakyDSN).Info("x", "a", 1)
		if got := out.String(); strings.Contains(got, "HUNTER2") || strings.Count(got, "\n") != 4 {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestValueOfASecretKeyIsHiddenWhole(t *testing.T) {
	for _, key := range []string{"password", "Client_Secret", "db_password", "PGPASSWORD", "clientSecret", "refresh-token", "Authorization", "identity_header"} {
		for _, value := range []any{"HUN TER2", []string{"HUN", "TER2"}, 12345, []byte("HUNTER2"), valuer{}, errors.New("HUNTER2"), slog.GroupValue(slog.String("a", "HUNTER2"))} {
			a, changed := redactAttr(slog.Any(key, value))
			if !changed || a.Key != key || a.Value.Kind() != slog.KindString || a.Value.String() != redacted {
				t.Errorf("%s of %T: got %v", key, value, a)
			}
		}
		for _, value := range []any{"", true, nil} {
			if a, changed := redactAttr(slog.Any(key, value)); changed {
				t.Errorf("%s = %v: got %v; want it unchanged", key, value, a)
			}
		}
	}
}

// keeper keeps the attributes it gets.
type keeper struct {
	discard
	attrs []slog.Attr
}

func (h *keeper) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool { h.attrs = append(h.attrs, a); return true })
	return nil
}

func TestCleanValuesReachTheNextHandlerUnchanged(t *testing.T) {
	type config struct {
		Host, Password string
		Secret         Secret
		n              int
	}
	attrs := []slog.Attr{
		slog.String("string", "x"), slog.Int("int", 1), slog.Float64("float", 2.5), slog.Bool("bool", true), slog.Time("time", time.Unix(1, 0)),
		slog.Duration("took", time.Second), slog.Uint64("uint", 1), slog.Group("g", "a", 1, slog.Group("h", "b", "c")), slog.Any("nil", nil), slog.Any("error", io.EOF),
		slog.Any("bytes", []byte("x")), slog.Any("raw", json.RawMessage(`{"a":1}`)), slog.Any("slice", []int{1}), slog.Any("map", map[string]any{"password": "", "n": 1}),
		slog.Any("struct", config{Host: "h", Secret: "HUNTER2", n: 1}), slog.Any("pointer", &config{Host: "h"}), slog.Any("header", http.Header{"X": {"y"}}),
		slog.Any("url", &url.URL{Scheme: "https", Host: "h:443"}), slog.Any("user", url.User("u")), slog.Any("stringer", stringer{"x"}), slog.Any("nil pointer", (*jsonMarshaler)(nil)),
		slog.Any("panicking", panicker{"x"}), slog.Any("func", func() {}), slog.Any("chan", make(chan int)),
	}
	next := &keeper{}
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, "x", 0)
	r.AddAttrs(attrs...)
	if err := NewRedactHandler(next).Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for i, got := range next.attrs {
		want := attrs[i]
		same := got.Key == want.Key && got.Value.Kind() == want.Value.Kind()
		if same && want.Value.Kind() == slog.KindAny && want.Key != "func" {
			same = reflect.DeepEqual(got.Value.Any(), want.Value.Any()) // also the type
		}
		if !same {
			t.Errorf("got %v of %v; want %v of %v", got, got.Value.Kind(), want, want.Value.Kind())
		}
	}
	if len(next.attrs) != len(attrs) {
		t.Errorf("%d attributes; want %d", len(next.attrs), len(attrs))
	}
}

func TestHiddenValuesStayReadable(t *testing.T) {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("u", "HUNTER2"), Host: "h"}
	for _, row := range []struct {
		name string
		in   any
		want string
	}{
		{"struct", struct{ User, Password string }{"u", "HUN TER2"}, "{User:u Password:[redacted]}"},
		{"pointer", &struct{ DSN *string }{new(string)}, "&{DSN:&}"},
		{"map", map[string]any{"b": 1, "a": leakyDSN}, "map[a:postgres://u:[redacted]@h/d b:1]"},
		{"header", http.Header{"Authorization": {"Bearer x"}, "X": {"y"}}, "map[Authorization:[redacted] X:[y]]"},
		{"URL", &u, "postgres://u:[redacted]@h"},
		{"raw JSON", json.RawMessage(`{"password":"x","n":1}`), `{"password":"[redacted]","n":1}`},
		{"error", errors.New("dial " + leakyDSN), "dial postgres://u:[redacted]@h/d"},
	} {
		v, changed := redactAny(slog.AnyValue(row.in))
		if changed != (row.name != "pointer") {
			t.Errorf("%s: changed is %v", row.name, changed)
		}
		if got := fmt.Sprintf("%s", v.Any()); changed && got != row.want {
			t.Errorf("%s: got %s; want %s", row.name, got, row.want)
		}
	}
}

// A LogValuer is asked once: its second answer could be another.
func TestLogValuerIsAskedOnce(t *testing.T) {
	asked := 0
	var out bytes.Buffer
	slog.New(NewRedactHandler(slog.NewTextHandler(&out, nil))).Info("x", "v", counter{&asked})
	if asked != 1 || strings.Contains(out.String(), "HUNTER2") {
		t.Errorf("asked %d times: %s", asked, out.String())
	}
}

type counter struct{ n *int }

func (c counter) LogValue() slog.Value {
	*c.n++
	return slog.StringValue([]string{"clean", "password=HUNTER2"}[*c.n-1])
}

func TestHandlerLeavesTheAttributesOfItsCallerAlone(t *testing.T) {
	attrs := []slog.Attr{slog.String("a", "b"), slog.String("dsn", leakyDSN)}
	NewRedactHandler(discard{}).WithAttrs(attrs)
	if _, changed := redactAttr(slog.Attr{Key: "g", Value: slog.GroupValue(attrs...)}); !changed || attrs[1].Value.String() != leakyDSN {
		t.Errorf("changed %v, attributes %v", changed, attrs)
	}
}

// owner changes its parts under a lock, as *sql.DB does.
type owner struct {
	mu    sync.Mutex
	parts map[string]string
	last  string
}

func (o *owner) change(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = strings.Repeat("x", n%9)
	o.parts[o.last] = o.last
}

type namedOwner struct{ owner }

func (*namedOwner) String() string { return "n" }

// What neither fmt nor encoding/json reads belongs to somebody who may be changing
// it: under -race this test sees who reads it all the same.
func TestPartsThatAreNotPrintedAreNotRead(t *testing.T) {
	o, n := &owner{parts: map[string]string{}}, &namedOwner{owner{parts: map[string]string{}}}
	l := slog.New(NewRedactHandler(slog.NewTextHandler(io.Discard, nil)))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 1000 {
			o.change(i)
			n.change(i)
		}
	})
	for range 1000 {
		l.Info("x", "in a struct", struct{ O *owner }{o}, "in a map", map[string]*owner{"o": o}, "named", n)
	}
	wg.Wait()
}

func TestRedactHandlerServesManyGoroutines(t *testing.T) {
	var out bytes.Buffer
	l := slog.New(NewRedactHandler(slog.NewJSONHandler(&out, nil))).With("dsn", leakyDSN)
	shared := leakyValues()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for kind, value := range shared {
				l.Info(kind, "k", value)
			}
		})
	}
	wg.Wait()
	if got := strings.Count(out.String(), "\n"); got != 8*len(shared) || strings.Contains(out.String(), "TER2") {
		t.Errorf("%d lines; want %d", got, 8*len(shared))
	}
}

func TestCleanRecordCostsNoAllocation(t *testing.T) {
	h, r := NewRedactHandler(discard{}), cleanRecord()
	r.AddAttrs(slog.Group("g", "a", "b"), slog.Duration("took", 1))
	if n := testing.AllocsPerRun(100, func() { _ = h.Handle(t.Context(), r) }); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}
