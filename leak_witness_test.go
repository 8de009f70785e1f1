package azurepg_test

import (
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
)

// A witness keeps all that was printed and all that errors hold while a test ran,
// to search it afterwards.
type witness struct {
	mu    sync.Mutex // guards texts
	texts []printed

	logger *slog.Logger // of all levels
}

type printed struct{ what, text string }

// newWitness listens to everything in the process that can print: the Logger it
// offers, the default ones, and azidentity's log.
func newWitness(t *testing.T) *witness {
	w := new(witness)
	w.logger = slog.New(slog.NewJSONHandler(w.writer("our Logger"), &slog.HandlerOptions{Level: slog.LevelDebug}))
	std, flags := log.Writer(), log.Flags()
	def := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(w.writer("slog's default"), &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(w.writer("package log"))
	azlog.SetListener(func(_ azlog.Event, line string) { w.keep("azidentity's log", line) })
	t.Cleanup(func() {
		azlog.SetListener(nil)
		slog.SetDefault(def)
		log.SetOutput(std)
		log.SetFlags(flags)
	})
	return w
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

func (w *witness) writer(what string) writerFunc {
	return func(b []byte) { w.keep(what, string(b)) }
}

func (w *witness) keep(what, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, printed{what, text})
}

// count returns how many texts there are; what runs in the background may add more.
func (w *witness) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.texts)
}

// print prints v in every way that Go has.
func (w *witness) print(what string, v any) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		w.keep(what+" with "+verb, fmt.Sprintf(verb, v))
		w.keep("a struct with "+what+" and "+verb, fmt.Sprintf(verb, struct{ V any }{v}))
	}
	if b, err := json.Marshal(v); err == nil {
		w.keep(what+" as JSON", string(b))
	}
	for name, h := range map[string]slog.Handler{"text": slog.NewTextHandler(w.writer(what+" in slog text"), nil), "JSON": slog.NewJSONHandler(w.writer(what+" in slog JSON"), nil)} {
		slog.New(h).Info(name, "v", v)
	}
}

// fail keeps an error: printed, and every text that can be reached from it.
func (w *witness) fail(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("%s: %q is more than a plain line", what, err)
	}
	w.print(what, err)
	reach(reflect.ValueOf(err), map[uintptr]bool{}, func(text string) { w.keep("inside the error of "+what, text) })
}

// reach calls found with every text inside v, exported or not.
func reach(v reflect.Value, seen map[uintptr]bool, found func(string)) {
	switch v.Kind() {
	case reflect.String:
		found(v.String())
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return
		}
		seen[v.Pointer()] = true
		reach(v.Elem(), seen, found)
	case reflect.Interface:
		reach(v.Elem(), seen, found)
	case reflect.Struct:
		for i := range v.NumField() {
			reach(v.Field(i), seen, found)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			reach(it.Key(), seen, found)
			reach(it.Value(), seen, found)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			found(string(v.Bytes()))
			return
		}
		for i := range v.Len() {
			reach(v.Index(i), seen, found)
		}
	}
}

// pieceLength is short enough to find a token that was cut, and long enough to be
// nothing else.
const pieceLength = 24

// find returns where a secret was printed, or a piece of one that is long.
func (w *witness) find(secrets ...string) (found []printed) {
	pieces := make(map[string]bool)
	for _, secret := range secrets {
		if len(secret) < pieceLength {
			pieces[secret] = true
		}
		for i := 0; i+pieceLength <= len(secret); i += pieceLength {
			pieces[secret[i:i+pieceLength]] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.texts {
		for piece := range pieces {
			if strings.Contains(p.text, piece) {
				found = append(found, p)
				break
			}
		}
	}
	return found
}

func (w *witness) wantNone(t *testing.T, secrets ...string) {
	t.Helper()
	if n := w.count(); len(secrets) == 0 || n == 0 {
		t.Fatalf("%d secrets, %d texts: there is nothing to search", len(secrets), n)
	}
	for _, p := range w.find(secrets...) {
		t.Errorf("a secret is in %s: %.300q", p.what, p.text)
	}
}

// A search that finds nothing must be one that could.
func TestWitnessFindsWhatIsThere(t *testing.T) {
	type inner struct{ secret []byte }
	token := strings.Repeat("HUNTER2-", 40)
	for what, say := range map[string]func(*witness){
		"Logger":             func(w *witness) { w.logger.Debug("x", "v", token) },
		"slog's default":     func(*witness) { slog.Debug(token[30:120]) },
		"package log":        func(*witness) { log.Print(token) },
		"printed":            func(w *witness) { w.print("x", struct{ A *string }{&token}) },
		"deep in the error":  func(w *witness) { w.fail(t, "x", &net.OpError{Err: &net.AddrError{Addr: token}}) },
		"hidden in an error": func(w *witness) { w.fail(t, "x", &hiding{in: map[int]any{1: &inner{[]byte(token)}}}) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWitness(t)
			w.keep("", "nothing")
			say(w)
			if len(w.find(token)) == 0 {
				t.Error("the secret was not found")
			}
		})
	}
}

type hiding struct{ in map[int]any }

func (*hiding) Error() string { return "clean" }

// oneLine takes pgxpool's errors for what they are: pgx gives each attempt a line.
func oneLine(err error) error {
	if err != nil && strings.Contains(err.Error(), "\n") {
		return &joined{err}
	}
	return err
}

type joined struct{ error }

func (j *joined) Error() string { return strings.ReplaceAll(j.error.Error(), "\n", " ") }
func (j *joined) Unwrap() error { return j.error }
