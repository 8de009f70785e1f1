package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// queue is replicated where RabbitMQ is a cluster, and on disk everywhere.
const queue = "azurepg-relay"

// A relayer publishes numbers, and receives them.
type relayer struct {
	broker      *broker
	run         string // begins the ids: the queue may hold messages of another run
	connections atomic.Int64
	published   atomic.Int64 // confirmed by the broker
	repeated    atomic.Int64 // published again, since no confirmation came

	mu         sync.Mutex // guards received
	received   map[string]int
	handled    atomic.Int64
	duplicates atomic.Int64
}

func newRelayer(b *broker) *relayer {
	return &relayer{broker: b, run: rand.Text(), received: make(map[string]int)}
}

// relay publishes and receives until ctx is done, and says how it went.
func relay(ctx context.Context, b *broker, out io.Writer) error {
	r := newRelayer(b)
	consuming, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	var group sync.WaitGroup
	group.Go(func() { b.keep(consuming, r.consume) })
	b.keep(ctx, r.publish)
	r.settle()
	done()
	group.Wait()
	fmt.Fprintf(out, "%d messages confirmed, %d of them published again, %d received, %d of them twice, over %d connections\n",
		r.published.Load(), r.repeated.Load(), r.handled.Load(), r.duplicates.Load(), r.connections.Load())
	return r.check()
}

// settle waits until all that is published has arrived, or will not any more.
func (r *relayer) settle() {
	for end := time.Now().Add(30 * time.Second); r.handled.Load() < r.published.Load() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

// id is that of the number i, whenever it is published.
func (r *relayer) id(i int64) string { return fmt.Sprintf("%s-%d", r.run, i) }

// check finds the numbers that were confirmed and have not been received.
func (r *relayer) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.published.Load() {
		if r.received[r.id(i)] == 0 {
			return fmt.Errorf("message %d is lost", i)
		}
	}
	return nil
}

// channel is one with the queue, which is made if it is not there.
func (r *relayer) channel(conn *amqp.Connection) (*amqp.Channel, error) {
	r.connections.Add(1)
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	_, err = ch.QueueDeclare(queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	return ch, err
}

// publish publishes one number after the other. The next comes when the broker has
// confirmed that the last one is on disk; without that it comes again on the next
// connection, with the same id.
func (r *relayer) publish(ctx context.Context, conn *amqp.Connection) error {
	ch, err := r.channel(conn)
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	returned := ch.NotifyReturn(make(chan amqp.Return, 1))
	for ctx.Err() == nil {
		if err := r.publishNext(ctx, ch, returned); err != nil {
			return err
		}
		r.published.Add(1)
	}
	return ctx.Err()
}

// publishNext publishes the first number that is not confirmed.
func (r *relayer) publishNext(ctx context.Context, ch *amqp.Channel, returned <-chan amqp.Return) error {
	id := r.id(r.published.Load())
	confirmation, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, amqp.Publishing{
		MessageId: id, DeliveryMode: amqp.Persistent, ContentType: "text/plain", Body: []byte(id),
	})
	if err != nil {
		return err
	}
	confirmed, err := confirmation.WaitContext(ctx)
	if err != nil {
		return err
	}
	select {
	case <-returned: // comes before the confirmation
		confirmed = false
	default:
	}
	if !confirmed {
		r.repeated.Add(1)
		return errors.New("a message is not confirmed")
	}
	return nil
}

// consume acknowledges what it has handled, not before. What was on its way when a
// connection ended is delivered again.
func (r *relayer) consume(ctx context.Context, conn *amqp.Connection) error {
	ch, err := r.channel(conn)
	if err != nil {
		return err
	}
	if err := ch.Qos(32, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for d := range deliveries {
		r.handle(d)
		if err := d.Ack(false); err != nil {
			return err
		}
	}
	return nil
}

// handle does nothing for a message that it has handled before. A program whose work is in
// a database keeps the ids there, and writes them in the transaction of the work.
func (r *relayer) handle(d amqp.Delivery) {
	if !strings.HasPrefix(d.MessageId, r.run) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received[d.MessageId]++
	if r.received[d.MessageId] > 1 {
		r.duplicates.Add(1)
		return
	}
	r.handled.Add(1)
}
