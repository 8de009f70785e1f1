package broker

import (
	"context"
	"log/slog"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/azurepg/azurepg/examples/internal/brokertest"
)

// The worker that stops has tasks that run for long, so its connection stays.
func TestStoppedReceiverLeavesToOthersWhatItHasNotReceived(t *testing.T) {
	authority, err := brokertest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = authority.Close() })
	server, err := brokertest.StartRabbitMQ(authority, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	config, err := server.TLSConfig()
	if err != nil {
		t.Fatal(err)
	}
	dial := func() (*amqp.Connection, error) {
		return amqp.DialConfig(server.URL(server.User, server.Password), amqp.Config{TLSClientConfig: config})
	}
	newAMQP := func() *AMQP {
		a := NewAMQP(dial, "celery", slog.New(slog.DiscardHandler))
		t.Cleanup(func() { _ = a.Close() })
		return a
	}
	first, second := newAMQP(), newAMQP()
	if err := first.Prefetch(3); err != nil {
		t.Fatal(err)
	}
	if err := first.declare(); err != nil {
		t.Fatal(err)
	}
	publish := func(body string) {
		t.Helper()
		channel, err := first.conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		defer channel.Close()
		if err := channel.Confirm(false); err != nil {
			t.Fatal(err)
		}
		confirmation, err := channel.PublishWithDeferredConfirm("", "celery", true, false, amqp.Publishing{Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := confirmation.WaitContext(t.Context()); err != nil || !ok {
			t.Fatal("not confirmed:", err)
		}
	}
	for _, body := range []string{"a", "b", "c"} {
		publish(body)
	}
	running, stop := context.WithCancel(t.Context())
	if d, err := first.Receive(running); err != nil || string(d.Body) != "a" {
		t.Fatal(d, err)
	}
	stop()
	if d, err := first.Receive(running); err == nil {
		t.Fatalf("received %q after the end", d.Body)
	}
	publish("d")
	for _, want := range []string{"b", "c", "d"} {
		d, err := second.Receive(t.Context())
		if err != nil || string(d.Body) != want {
			t.Fatalf("received %+v, %v; want %s", d, err, want)
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
