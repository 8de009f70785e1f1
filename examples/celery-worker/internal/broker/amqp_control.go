package broker

import (
	"context"
	"encoding/json"
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/control"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

// Listen has a queue of the node's own at the exchange of commands.
func (a *AMQP) Listen(ctx context.Context, node string, handle func(message.Message)) error {
	conn, err := a.connection()
	if err != nil {
		return err
	}
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	defer channel.Close()
	if err := channel.ExchangeDeclare(control.Exchange, "fanout", false, false, false, false, nil); err != nil {
		return err
	}
	queue := node + control.QueueSuffix
	if _, err := channel.QueueDeclare(queue, false, true, true, false, nil); err != nil {
		return err
	}
	if err := channel.QueueBind(queue, "", control.Exchange, false, nil); err != nil {
		return err
	}
	commands, err := channel.Consume(queue, "", true, true, false, false, nil)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d, open := <-commands:
			if !open {
				return errors.New("the connection to RabbitMQ has ended")
			}
			if headers, err := json.Marshal(d.Headers); err == nil {
				handle(message.Message{Headers: headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, Body: d.Body})
			}
		}
	}
}

// Reply publishes the answer. Its channel is its own: one that publishes to an exchange
// which is gone is closed.
func (a *AMQP) Reply(ctx context.Context, to control.Address, answer message.Message) error {
	var headers amqp.Table
	if err := json.Unmarshal(answer.Headers, &headers); err != nil {
		return err
	}
	conn, err := a.connection()
	if err != nil {
		return err
	}
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	defer channel.Close()
	return channel.PublishWithContext(ctx, to.Exchange, to.RoutingKey, false, false, amqp.Publishing{
		Headers: headers, ContentType: answer.ContentType, ContentEncoding: answer.ContentEncoding, Body: answer.Body, DeliveryMode: amqp.Transient,
	})
}
