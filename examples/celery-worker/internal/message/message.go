// Package message reads what Celery's clients send: tasks in message protocol 2, with
// JSON, and the envelope that kombu puts around every message in Redis.
//
// Source: https://docs.celeryq.dev/en/stable/internals/protocol.html, read 2026-11, and
// what Celery 5.2.6 with kombu 5.2.4 sends.
package message

import (
	"encoding/json"
	"fmt"
)

// ContentType is that of JSON, which is all that is read and written here.
const ContentType = "application/json"

// A Message is what every broker delivers.
type Message struct {
	Headers         json.RawMessage // a JSON object
	ContentType     string
	ContentEncoding string
	Body            []byte
}

// NewJSON returns a message whose body and headers are those values in JSON.
func NewJSON(headers map[string]any, body any) (Message, error) {
	h, err := json.Marshal(headers)
	if err != nil {
		return Message{}, err
	}
	b, err := json.Marshal(body)
	return Message{Headers: h, ContentType: ContentType, ContentEncoding: "utf-8", Body: b}, err
}

// Header is one of m's headers as JSON; nil if there is none of that name.
func (m Message) Header(name string) json.RawMessage {
	var headers map[string]json.RawMessage
	if json.Unmarshal(m.Headers, &headers) != nil {
		return nil
	}
	return headers[name]
}

// An Exception is an error as Python knows it: what AsyncResult.get raises.
type Exception struct {
	Type    string // the class, such as ValueError
	Module  string // where the class is; "" is builtins
	Message []any  // what the class is called with
}

// NewException returns an exception of Python itself, such as ValueError.
func NewException(class, format string, args ...any) *Exception {
	return &Exception{Type: class, Message: []any{fmt.Sprintf(format, args...)}}
}

// Error is Python's way to say it.
func (e *Exception) Error() string {
	text := fmt.Sprint(e.Message...)
	if text == "" {
		return e.Type
	}
	return e.Type + ": " + text
}

// MarshalJSON writes what result backends store.
func (e *Exception) MarshalJSON() ([]byte, error) {
	module, args := e.Module, e.Message
	if module == "" {
		module = "builtins"
	}
	if args == nil {
		args = []any{}
	}
	return json.Marshal(struct {
		Type    string `json:"exc_type"`
		Message []any  `json:"exc_message"`
		Module  string `json:"exc_module"`
	}{e.Type, args, module})
}
