package control

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

var methods = Methods{"ping": func() any { return map[string]string{"ok": "pong"} }}

const replyTo = `"ticket": "t", "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": "me"}`

func ask(t *testing.T, headers, body string) (*Address, string, error) {
	t.Helper()
	m := message.Message{Headers: json.RawMessage(headers), ContentType: message.ContentType, Body: []byte(body)}
	to, reply, err := methods.Answer("go@a", m)
	return to, string(reply.Body), err
}

func TestNodeAnswersWhatIsForIt(t *testing.T) {
	for _, test := range []struct {
		to  string
		own bool
	}{
		{`"destination": null`, true},
		{`"destination": ["go@b", "go@a"]`, true},
		{`"destination": ["go@b"]`, false},
		{`"pattern": "go@*", "matcher": "glob"`, true},
		{`"pattern": "celery@*", "matcher": "glob"`, false},
		{`"pattern": "go@[ab]", "matcher": "pcre"`, true},
		{`"pattern": "o@a", "matcher": "pcre"`, false},
		{`"pattern": "(", "matcher": "pcre"`, false},
	} {
		to, _, err := ask(t, `{}`, `{"method": "ping", `+test.to+`, `+replyTo+`}`)
		if err != nil || (to != nil) != test.own {
			t.Errorf("%s: answered %v, %v; want %v", test.to, to != nil, err, test.own)
		}
	}
}

func TestAnswerGoesWhereItIsAwaited(t *testing.T) {
	to, body, err := ask(t, `{}`, `{"method": "ping", `+replyTo+`}`)
	if err != nil || *to != (Address{"reply.celery.pidbox", "me"}) || body != `{"go@a":{"ok":"pong"}}` {
		t.Errorf("%q to %+v, %v", body, to, err)
	}
}

func TestUnknownCommandIsAnErrorForTheOneWhoAsked(t *testing.T) {
	_, body, err := ask(t, `{}`, `{"method": "`+strings.Repeat("shutdown", 100)+`", `+replyTo+`}`)
	if err != nil || !strings.Contains(body, "does not know the command") || len(body) > 200 {
		t.Errorf("%q, %v", body, err)
	}
}

func TestNobodyIsAnsweredTooLateOrUnasked(t *testing.T) {
	past, future := time.Now().Add(-time.Minute).Unix(), time.Now().Add(time.Hour).Unix()
	for headers, want := range map[string]bool{
		`{"expires": 0}`: true, `{}`: true,
		fmt.Sprintf(`{"expires": %d.5}`, future): true,
		fmt.Sprintf(`{"expires": %d.5}`, past):   false,
	} {
		if to, _, err := ask(t, headers, `{"method": "ping", `+replyTo+`}`); err != nil || (to != nil) != want {
			t.Errorf("%s: answered %v, %v; want %v", headers, to != nil, err, want)
		}
	}
	if to, _, err := ask(t, `{}`, `{"method": "ping"}`); to != nil || err != nil {
		t.Errorf("one who wants no answer got one, %v", err)
	}
	if _, _, err := ask(t, `{}`, `pickle`); err == nil {
		t.Error("what is no JSON is no error")
	}
}
