package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

type arguments struct {
	Name  string
	Count int `json:"how_many"`
	Note  *string
}

func call(f Func, args, kwargs string) (string, error) {
	t := &message.Task{Name: "t"}
	if err := errors.Join(json.Unmarshal([]byte(args), &t.Args), json.Unmarshal([]byte(kwargs), &t.Kwargs)); err != nil {
		return "", err
	}
	value, err := f(context.Background(), t)
	return string(value), err
}

func TestArgumentsFollowPythonsRules(t *testing.T) {
	f := New(func(_ context.Context, a arguments) (string, error) {
		note := "none"
		if a.Note != nil {
			note = *a.Note
		}
		return fmt.Sprint(a.Name, a.Count, note), nil
	})
	for _, test := range []struct{ args, kwargs, want string }{
		{`["a", 2]`, `{}`, `"a2none"`},
		{`["a"]`, `{"how_many": 2}`, `"a2none"`},
		{`[]`, `{"how_many": 2, "name": "a", "note": "n"}`, `"a2n"`},
		{`["a", 2, null]`, `null`, `"a2none"`},
		{`["a"]`, `{}`, `missing 1 required argument: 'how_many'`},
		{`["a", 2, "n", 4]`, `{}`, `takes 3 arguments but 4 were given`},
		{`["a", 2]`, `{"name": "b"}`, `multiple values for argument 'name'`},
		{`["a", 2]`, `{"count": 2}`, `unexpected keyword argument 'count'`},
		{`["a", 2.5]`, `{}`, `argument 'how_many' must be of Go's type int`},
	} {
		value, err := call(f, test.args, test.kwargs)
		switch {
		case err == nil && value != test.want:
			t.Errorf("%s %s: %s; want %s", test.args, test.kwargs, value, test.want)
		case err != nil && (Exception(err).Type != "TypeError" || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s %s: %v; want %s", test.args, test.kwargs, err, test.want)
		}
	}
}

func TestErrorsBecomeExceptions(t *testing.T) {
	for _, test := range []struct {
		err        error
		class, say string
	}{
		{message.NewException("ValueError", "v"), "ValueError", "v"},
		{fmt.Errorf("within: %w", message.NewException("ValueError", "v")), "ValueError", "v"},
		{errors.New("plain"), "Exception", "plain"},
	} {
		_, err := call(New(func(context.Context, struct{}) (any, error) { return nil, test.err }), `[]`, `{}`)
		if e := Exception(err); e.Type != test.class || fmt.Sprint(e.Message...) != test.say {
			t.Errorf("%v: %v", test.err, e)
		}
	}
}

// What the task knew may be secret: it goes to the worker's log, not to the sender.
func TestPanicIsAnExceptionThatTellsNothing(t *testing.T) {
	_, err := call(New(func(context.Context, struct{}) (any, error) { panic("word") }), `[]`, `{}`)
	var p *Panic
	if !errors.As(err, &p) || len(p.Stack) == 0 || !strings.Contains(err.Error(), "word") {
		t.Errorf("the log has %v", err)
	}
	if e := Exception(err); e.Type != "RuntimeError" || strings.Contains(e.Error(), "word") {
		t.Errorf("the sender is told %v", e)
	}
}

func TestResultThatIsNotForJSONIsAnEncodeError(t *testing.T) {
	_, err := call(New(func(context.Context, struct{}) (any, error) { return func() {}, nil }), `[]`, `{}`)
	if e := Exception(err); e.Type != "EncodeError" {
		t.Errorf("got %v", e)
	}
}
