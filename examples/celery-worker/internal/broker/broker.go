// Package broker receives Celery's messages from Redis, as kombu lays them out there,
// and from RabbitMQ. A message is the broker's until it is acknowledged: if the worker
// dies, another one gets it.
package broker

import (
	"context"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/control"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

// DefaultQueue is Celery's.
const DefaultQueue = "celery"

// A Broker is one of Redis and RabbitMQ. After an error its methods can be called again:
// connections are made anew.
type Broker interface {
	// Check returns nil if the broker lets us in.
	Check(ctx context.Context) error
	// Receive waits for the next message, or for the end of ctx; then what the broker
	// has sent already and nobody received goes back. It is called by one goroutine.
	Receive(ctx context.Context) (*Delivery, error)
	// Prefetch sets how many messages may be received and not acknowledged, where the
	// broker sends them unasked.
	Prefetch(n int) error
	// Maintain does, until ctx ends, what the broker does not do by itself.
	Maintain(ctx context.Context)
	// Listen calls handle for each command to the node, until ctx ends.
	Listen(ctx context.Context, node string, handle func(message.Message)) error
	// Reply sends the answer to a command.
	Reply(ctx context.Context, to control.Address, answer message.Message) error
	Close() error
}

// A Delivery is one message. Of its functions one is called, once.
type Delivery struct {
	message.Message
	Ack     func(context.Context) error // the message is done with
	Requeue func(context.Context) error // somebody else is to have it, as the next one
}
