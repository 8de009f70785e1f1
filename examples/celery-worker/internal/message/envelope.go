package message

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// An envelope is a message of kombu in Redis, where a message is one string.
type envelope struct {
	Body            string          `json:"body"`
	ContentEncoding string          `json:"content-encoding"`
	ContentType     string          `json:"content-type"`
	Headers         json.RawMessage `json:"headers"`
	Properties      properties      `json:"properties"`
}

type properties struct {
	DeliveryMode int          `json:"delivery_mode"`
	DeliveryInfo deliveryInfo `json:"delivery_info"`
	Priority     int          `json:"priority"`
	BodyEncoding string       `json:"body_encoding"`
	DeliveryTag  string       `json:"delivery_tag"`
}

type deliveryInfo struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

// Open takes a message out of kombu's envelope.
func Open(text []byte) (Message, error) {
	var e struct {
		envelope
		Properties struct {
			BodyEncoding string `json:"body_encoding"`
		} `json:"properties"` // the rest is foreign, and of no use here
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return Message{}, fmt.Errorf("a message without kombu's envelope")
	}
	m := Message{Headers: e.Headers, ContentType: e.ContentType, ContentEncoding: e.ContentEncoding, Body: []byte(e.Body)}
	if e.Properties.BodyEncoding == "base64" {
		var err error
		if m.Body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return Message{}, fmt.Errorf("a message whose body is no base64")
		}
	}
	return m, nil
}

// Seal puts m into an envelope for kombu.
func (m Message) Seal(exchange, routingKey string) ([]byte, error) {
	return json.Marshal(envelope{
		Body: base64.StdEncoding.EncodeToString(m.Body), ContentEncoding: m.ContentEncoding, ContentType: m.ContentType, Headers: m.Headers,
		Properties: properties{
			DeliveryMode: 1, DeliveryInfo: deliveryInfo{exchange, routingKey}, BodyEncoding: "base64", DeliveryTag: rand.Text(),
		},
	})
}

// Redelivered says in the envelope that the message was delivered before; every other
// byte of its values stays.
func Redelivered(text []byte) ([]byte, error) {
	return edit(text, func(e map[string]json.RawMessage) error {
		if err := editField(e, "headers", setRedelivered); err != nil {
			return err
		}
		return editField(e, "properties", func(p map[string]json.RawMessage) error {
			return editField(p, "delivery_info", setRedelivered)
		})
	})
}

func setRedelivered(object map[string]json.RawMessage) error {
	object["redelivered"] = json.RawMessage("true")
	return nil
}

func edit(text []byte, change func(map[string]json.RawMessage) error) ([]byte, error) {
	object := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		return nil, fmt.Errorf("a message without kombu's envelope")
	}
	if err := change(object); err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

func editField(object map[string]json.RawMessage, name string, change func(map[string]json.RawMessage) error) error {
	changed, err := edit(object[name], change)
	if err == nil {
		object[name] = changed
	}
	return err
}
