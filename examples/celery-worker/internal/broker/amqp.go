package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

// An AMQP is RabbitMQ. What is not acknowledged when the connection ends is delivered
// again, by the broker itself.
type AMQP struct {
	dial   func() (*amqp.Connection, error)
	queue  string
	logger *slog.Logger

	mu       sync.Mutex // guards conn, tasks and prefetch
	conn     *amqp.Connection
	tasks    *amqp.Channel
	prefetch int

	deliveries <-chan amqp.Delivery // of tasks; Receive's own
}

var _ Broker = (*AMQP)(nil)

// NewAMQP returns an AMQP for one queue, which connects by dial.
func NewAMQP(dial func() (*amqp.Connection, error), queue string, logger *slog.Logger) *AMQP {
	return &AMQP{dial: dial, queue: queue, logger: logger, prefetch: 1}
}

// Check connects.
func (a *AMQP) Check(context.Context) error {
	_, err := a.connection()
	return err
}

func (a *AMQP) connection() (*amqp.Connection, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil && !a.conn.IsClosed() {
		return a.conn, nil
	}
	conn, err := a.dial()
	if err != nil {
		return nil, err
	}
	a.conn = conn
	return conn, nil
}

// Close closes the connection.
func (a *AMQP) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn == nil || a.conn.IsClosed() {
		return nil
	}
	return a.conn.Close()
}

// Maintain has nothing to do.
func (a *AMQP) Maintain(context.Context) {}

// Prefetch changes the limit of the channel that consumes.
func (a *AMQP) Prefetch(n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prefetch = n
	if a.tasks == nil {
		return nil
	}
	return a.tasks.Qos(n, 0, perChannel)
}

// perChannel is global in the protocol: RabbitMQ takes it for the channel's limit, which
// holds for consumers that are there already.
const perChannel = true

const consumer = "tasks"

// Receive consumes the queue.
func (a *AMQP) Receive(ctx context.Context) (*Delivery, error) {
	for {
		if ctx.Err() != nil {
			a.giveBack()
			return nil, ctx.Err()
		}
		if err := a.consume(); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
		case d, open := <-a.deliveries:
			if !open {
				a.deliveries = nil
				return nil, errors.New("the connection to RabbitMQ has ended")
			}
			headers, err := json.Marshal(d.Headers)
			if err != nil {
				a.logger.Error("dropped a message with headers that no task has")
				_ = d.Nack(false, false)
				continue
			}
			return &Delivery{
				Message: message.Message{Headers: headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, Body: d.Body},
				Ack:     func(context.Context) error { return d.Ack(false) },
				Requeue: func(context.Context) error { return d.Nack(false, true) },
			}, nil
		}
	}
}

// consume starts to, unless it does already.
func (a *AMQP) consume() error {
	if a.deliveries != nil {
		return nil
	}
	if err := a.declare(); err != nil {
		return fmt.Errorf("the queue %q: %w", a.queue, err)
	}
	conn, err := a.connection()
	if err != nil {
		return err
	}
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.tasks = channel
	err = channel.Qos(a.prefetch, 0, perChannel)
	a.mu.Unlock()
	if err == nil {
		a.deliveries, err = channel.Consume(a.queue, consumer, false, false, false, false, nil)
	}
	if err != nil {
		return errors.Join(err, channel.Close())
	}
	return nil
}

// declare makes the queue as Celery does, if it is not there. One that is there may
// have arguments of its own, such as priorities.
func (a *AMQP) declare() error {
	conn, err := a.connection()
	if err != nil {
		return err
	}
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	if _, err = channel.QueueDeclarePassive(a.queue, true, false, false, false, nil); err == nil {
		return channel.Close()
	}
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Code != amqp.NotFound {
		return err
	}
	if channel, err = conn.Channel(); err != nil { // the refusal has closed the other one
		return err
	}
	defer channel.Close()
	if err := channel.ExchangeDeclare(a.queue, "direct", true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := channel.QueueDeclare(a.queue, true, false, false, false, nil); err != nil {
		return err
	}
	return channel.QueueBind(a.queue, a.queue, a.queue, false, nil)
}

// giveBack ends consuming and returns what has been sent meanwhile.
func (a *AMQP) giveBack() {
	if a.deliveries == nil {
		return
	}
	a.mu.Lock()
	err := a.tasks.Cancel(consumer, false) // closes deliveries
	a.mu.Unlock()
	if err != nil {
		return // the connection has ended
	}
	for d := range a.deliveries {
		_ = d.Nack(false, true) // RabbitMQ does it when the connection ends
	}
	a.deliveries = nil
}
