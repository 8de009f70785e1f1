package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg/examples/internal/child"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestNothingIsLostWhileTokensEndAndTheBrokerCrashes(t *testing.T) {
	p := newProgram(t, everything...)
	p.azure.Entra.SetLifetime(8 * time.Second)
	r := newRelayer(p.broker(t))
	publishing, stop := context.WithCancel(t.Context())
	defer stop()
	consuming, done := context.WithCancel(t.Context())
	defer done()
	logged := func(what string) int {
		return strings.Count(p.rabbitmq.Log(), "'"+p.principal.ObjectID+"' "+what)
	}
	renewals := func(n int) func() bool { return func() bool { return logged("updated secret") >= n } }

	var publisher, consumer sync.WaitGroup
	publisher.Go(func() { r.broker.keep(publishing, r.publish) })
	child.Until(t, "tokens", renewals(1))
	crash(t, p) // with a queue full of messages
	consumer.Go(func() { r.broker.keep(consuming, r.consume) })
	child.Until(t, "tokens", renewals(5)) // of two connections: the first of each has ended
	crash(t, p)                           // with messages on their way
	child.Until(t, "logins", func() bool { return logged("authenticated and granted access") >= 5 })
	child.Until(t, "tokens", renewals(logged("updated secret")+4))

	stop()
	publisher.Wait()
	r.settle()
	done()
	consumer.Wait()
	if err := r.check(); err != nil {
		t.Errorf("%v\n%s", err, p.output)
	}
	t.Logf("%d confirmed, %d published again, %d received, %d twice", r.published.Load(), r.repeated.Load(), r.handled.Load(), r.duplicates.Load())
}

func crash(t *testing.T, p *program) {
	t.Helper()
	if err := p.rabbitmq.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := p.rabbitmq.Start(); err != nil {
		t.Fatal(err)
	}
}

func TestMessageThatNobodyHasHandledIsDeliveredAgain(t *testing.T) {
	p := newProgram(t, everything...)
	killed := newRelayer(p.broker(t))
	conn, ch := open(t, killed)
	for range 3 {
		if err := killed.publishNext(t.Context(), ch, nil); err != nil {
			t.Fatal(err)
		}
		killed.published.Add(1)
	}
	killed.mu.Lock() // it handles nothing any more
	ended := make(chan error)
	go func() { ended <- killed.consume(t.Context(), conn) }()
	child.Until(t, "deliveries", func() bool {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		return err == nil && q.Messages == 0
	})
	conn.Close()

	next := newRelayer(killed.broker)
	next.run = killed.run
	conn, _ = open(t, next)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { ended <- next.consume(ctx, conn) }()
	child.Until(t, "the messages", func() bool { return next.handled.Load() == 3 })
	killed.mu.Unlock()
	stop()
	conn.Close()
	<-ended
	<-ended
}

func TestRedeliveredMessageIsHandledOnce(t *testing.T) {
	p := newProgram(t, everything...)
	r := newRelayer(p.broker(t))
	conn, ch := open(t, r)
	if err := r.publishNext(t.Context(), ch, nil); err != nil {
		t.Fatal(err)
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for d := range deliveries {
		r.handle(d)
		if r.handled.Load() == 1 {
			break // before it is acknowledged
		}
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error)
	go func() { ended <- r.consume(ctx, conn) }()
	child.Until(t, "the second time", func() bool { return r.duplicates.Load() == 1 })
	stop()
	conn.Close()
	<-ended
	if r.handled.Load() != 1 {
		t.Errorf("handled %d times", r.handled.Load())
	}
}

// open returns a connection and a channel with confirmations.
func open(t *testing.T, r *relayer) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	conn, err := r.broker.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := r.channel(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	return conn, ch
}

func TestRelaySaysHowItWent(t *testing.T) {
	p := newProgram(t, everything...)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error)
	go func() { ended <- run(ctx, []string{"relay"}, p.output, p.logger) }()
	child.Until(t, "logins", func() bool {
		return strings.Count(p.rabbitmq.Log(), "'"+p.principal.ObjectID+"' authenticated") == 2
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var confirmed, again int
	report := p.output.String()
	report = report[strings.LastIndex(strings.TrimSuffix(report, "\n"), "\n")+1:]
	if _, err := fmt.Sscanf(report, "%d messages confirmed, %d of them published again,", &confirmed, &again); err != nil {
		t.Errorf("it says %q: %v", report, err)
	}
}
