package message

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func taskMessage(headers, body string) Message {
	return Message{Headers: json.RawMessage(headers), ContentType: ContentType, ContentEncoding: "utf-8", Body: []byte(body)}
}

const noMore = `{"callbacks": null, "errbacks": null, "chain": null, "chord": null}`

func TestTaskIsReadWithItsTimes(t *testing.T) {
	utc := time.Date(2026, 11, 24, 6, 0, 0, 500_000_000, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-24T06:00:00.500000+00:00": utc,
		"2026-11-24T08:00:00.500000+02:00": utc,
		"2026-11-24T06:00:00.5Z":           utc,
		"2026-11-24T06:00:00.500000":       utc, // Celery without enable_utc says no zone
		"2026-11-24T06:00:00":              utc.Truncate(time.Second),
	} {
		headers := `{"id": "i", "task": "add", "group": "g", "eta": "` + text + `", "expires": "` + text + `", "timelimit": [null, null]}`
		task, err := taskMessage(headers, `[[1, "x"], {"k": [2]}, `+noMore+`]`).Task()
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !task.ETA.Equal(want) || !task.Expires.Equal(want) {
			t.Errorf("%s: eta %v, expires %v; want %v", text, task.ETA, task.Expires, want)
		}
		if task.ID != "i" || task.Name != "add" || task.Group != "g" || len(task.Args) != 2 || string(task.Kwargs["k"]) != "[2]" {
			t.Errorf("read %+v", task)
		}
	}
}

// Each has an id, so that the sender can be told what is wrong.
func TestTaskThatCannotBeRunSaysWhy(t *testing.T) {
	headers := `{"id": "i", "task": "add"}`
	for body, want := range map[string]string{
		`[[], {}, {"callbacks": [{"task": "b"}]}]`: "link)",
		`[[], {}, {"errbacks": [{"task": "b"}]}]`:  "link_error)",
		`[[], {}, {"chain": [{"task": "b"}]}]`:     "chain)",
		`[[], {}, {"chord": {"task": "b"}}]`:       "chord)",
		`[[], {}]`:                                 "[args, kwargs, embed]",
		`{"task": "protocol1"}`:                    "[args, kwargs, embed]",
		`[{}, {}, {}]`:                             "[args, kwargs, embed]",
		`[[], [], {}]`:                             "[args, kwargs, embed]",
		`not JSON`:                                 "[args, kwargs, embed]",
		``:                                         "[args, kwargs, embed]",
	} {
		task, err := taskMessage(headers, body).Task()
		var e *Exception
		if task == nil || task.ID != "i" || !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", body, task, err, want)
		}
	}
	for _, header := range []string{"eta", "expires"} {
		_, err := taskMessage(`{"id": "i", "task": "add", "`+header+`": "tomorrow"}`, `[[], {}, {}]`).Task()
		if err == nil || !strings.Contains(err.Error(), header) {
			t.Errorf("with %s tomorrow: %v", header, err)
		}
	}
}

func TestMessageThatIsNoTaskIsNone(t *testing.T) {
	for _, headers := range []string{``, `null`, `{}`, `[]`, `{"id": "i"}`, `{"task": "add"}`, `{"id": 1, "task": "add"}`, `{`} {
		if task, err := taskMessage(headers, `[[], {}, {}]`).Task(); task != nil || err == nil {
			t.Errorf("%s: %+v, %v", headers, task, err)
		}
	}
}

func TestEnvelopeKeepsTheMessage(t *testing.T) {
	m, err := NewJSON(map[string]any{"ticket": "t"}, map[string]any{"node": "pong"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := m.Seal("exchange", "key")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(text)
	if err != nil || string(got.Body) != string(m.Body) || string(got.Headers) != string(m.Headers) || got.ContentType != m.ContentType {
		t.Errorf("got %+v, %v; want %+v", got, err, m)
	}
	for _, text := range []string{``, `[]`, `"x"`, `{"body": "%", "properties": {"body_encoding": "base64"}}`} {
		if _, err := Open([]byte(text)); err == nil {
			t.Errorf("%q was opened", text)
		}
	}
}

func TestRedeliveredChangesNothingElse(t *testing.T) {
	text := `{"body":"Ym9keQ==","headers":{"empty":[],"large":12345678901234567890,"text":"<é>"},` +
		`"properties":{"delivery_info":{"exchange":"","routing_key":"celery"},"delivery_tag":"t","priority":0}}`
	marked, err := Redelivered([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(marked), `"redelivered":true`); n != 2 {
		t.Errorf("marked %d times in %s; kombu does it in headers and delivery_info", n, marked)
	}
	unmarked := strings.ReplaceAll(string(marked), `,"redelivered":true`, "")
	unmarked = strings.ReplaceAll(unmarked, `"redelivered":true,`, "")
	if unmarked = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(unmarked); unmarked != text {
		t.Errorf("got %s; want %s", unmarked, text)
	}
}
