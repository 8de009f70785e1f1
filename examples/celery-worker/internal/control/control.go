// Package control answers the questions that celery inspect asks, in kombu's pidbox
// protocol: a command for all nodes or some, and a reply in a queue of the one who asked.
//
// Source: kombu/pidbox.py of kombu 5.2.4 and celery/worker/control.py of Celery 5.2.6.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

const (
	// Exchange is where commands come from, to every node.
	Exchange = "celery.pidbox"
	// QueueSuffix follows a node's name in the name of its queue.
	QueueSuffix = "." + Exchange
)

// An Address is where the answer goes.
type Address struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

type command struct {
	Method      string   `json:"method"`
	Destination []string `json:"destination"`
	Pattern     *string  `json:"pattern"`
	Matcher     *string  `json:"matcher"`
	Ticket      *string  `json:"ticket"`
	ReplyTo     *Address `json:"reply_to"`
}

// Methods are the answers by the command's name.
type Methods map[string]func() any

// Answer returns the answer of the node to m and where it goes, or no address if m is
// not for it, too late, or wants no answer. Commands that are not in methods, such as
// those which change something, are answered with an error.
func (methods Methods) Answer(node string, m message.Message) (*Address, message.Message, error) {
	var c command
	if err := json.Unmarshal(m.Body, &c); err != nil || m.ContentType != message.ContentType {
		return nil, message.Message{}, errors.New("a command that is not in JSON")
	}
	if c.ReplyTo == nil || expired(m) || !c.isFor(node) {
		return nil, message.Message{}, nil
	}
	var answer any = map[string]string{"error": fmt.Sprintf("this worker does not know the command %q", cut(c.Method))}
	if method, ok := methods[c.Method]; ok {
		answer = method()
	}
	reply, err := message.NewJSON(map[string]any{"ticket": c.Ticket, "clock": 0}, map[string]any{node: answer})
	return c.ReplyTo, reply, err
}

func (c *command) isFor(node string) bool {
	switch {
	case len(c.Destination) > 0:
		return slices.Contains(c.Destination, node)
	case c.Pattern == nil || c.Matcher == nil:
		return true
	case *c.Matcher == "pcre":
		matched, err := regexp.MatchString("^(?:"+*c.Pattern+")", node)
		return err == nil && matched
	}
	matched, err := path.Match(*c.Pattern, node)
	return err == nil && matched
}

// expired reports whether the one who asked waits no more.
func expired(m message.Message) bool {
	var seconds float64
	_ = json.Unmarshal(m.Header("expires"), &seconds)
	return seconds > 0 && float64(time.Now().UnixMilli())/1000 > seconds
}

func cut(s string) string { return s[:min(len(s), 40)] }
