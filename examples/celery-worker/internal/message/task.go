package message

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A Task is a call of a function by its name.
type Task struct {
	ID, Name     string
	Group        string    // the group that it is of, "" if none
	ETA, Expires time.Time // not before, not after; zero is none
	IgnoreResult bool
	Args         []json.RawMessage
	Kwargs       map[string]json.RawMessage
}

type taskHeaders struct {
	ID           string  `json:"id"`
	Task         string  `json:"task"`
	Group        *string `json:"group"`
	ETA          *string `json:"eta"`
	Expires      *string `json:"expires"`
	IgnoreResult bool    `json:"ignore_result"`
}

// Task reads m. It returns nil and an error for what is no task of protocol 2. For a task
// that this worker cannot run the error is an *Exception, and the task has an ID, so
// that the sender can be told.
func (m Message) Task() (*Task, error) {
	var h taskHeaders
	if err := json.Unmarshal(m.Headers, &h); err != nil || h.ID == "" || h.Task == "" {
		return nil, fmt.Errorf("a message that is no task of Celery's protocol 2 (its headers lack id and task)")
	}
	t := &Task{ID: h.ID, Name: h.Task, IgnoreResult: h.IgnoreResult}
	if h.Group != nil {
		t.Group = *h.Group
	}
	if m.ContentType != ContentType || !isUTF8(m.ContentEncoding) {
		return t, &Exception{Type: "ContentDisallowed", Module: "kombu.exceptions", Message: []any{"this worker reads JSON, in UTF-8, and nothing else"}}
	}
	var err error
	if t.ETA, err = parseTime(h.ETA); err != nil {
		return t, NewException("ValueError", "eta is no ISO 8601 time")
	}
	if t.Expires, err = parseTime(h.Expires); err != nil {
		return t, NewException("ValueError", "expires is no ISO 8601 time")
	}
	return t, t.readBody(m.Body)
}

func isUTF8(encoding string) bool {
	return strings.EqualFold(encoding, "utf-8") || strings.EqualFold(encoding, "us-ascii")
}

// What may follow a task. Leaving it out silently would lose work.
type embed struct {
	Callbacks json.RawMessage `json:"callbacks"`
	Errbacks  json.RawMessage `json:"errbacks"`
	Chain     json.RawMessage `json:"chain"`
	Chord     json.RawMessage `json:"chord"`
}

func (t *Task) readBody(body []byte) error {
	var e embed
	var parts []json.RawMessage
	err := json.Unmarshal(body, &parts)
	if err != nil || len(parts) != 3 ||
		json.Unmarshal(parts[0], &t.Args) != nil || json.Unmarshal(parts[1], &t.Kwargs) != nil || json.Unmarshal(parts[2], &e) != nil {
		return NewException("ValueError", "the body is not [args, kwargs, embed]")
	}
	for _, more := range []struct {
		name string
		json json.RawMessage
	}{{"link", e.Callbacks}, {"link_error", e.Errbacks}, {"chain", e.Chain}, {"chord", e.Chord}} {
		if s := string(more.json); s != "" && s != "null" && s != "[]" {
			return NewException("NotImplementedError", "this worker does not do what comes after a task (%s)", more.name)
		}
	}
	return nil
}

// parseTime reads Python's isoformat, which says no zone for what is in UTC.
func parseTime(s *string) (time.Time, error) {
	if s == nil || *s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, *s); err == nil {
		return t, nil
	}
	return time.Parse("2006-01-02T15:04:05", *s) // a fraction is accepted
}
