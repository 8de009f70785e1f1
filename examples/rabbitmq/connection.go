package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/azurepg/azurepg"
	amqp "github.com/rabbitmq/amqp091-go"
)

// dial opens a connection with the token that is current now, so a connection made after
// a restart is as good as the first. amqp091 asks an Authentication for its response
// without a context and without an error; a token that is fetched before has both.
func (b *broker) dial(ctx context.Context) (*amqp.Connection, error) {
	sasl := amqp.Authentication(&amqp.ExternalAuth{})
	var token string
	if b.tokens != nil {
		t, err := b.tokens.Token(ctx)
		if err != nil {
			return nil, err
		}
		token = t.Token
		sasl = &amqp.PlainAuth{Username: "token", Password: token} // RabbitMQ takes the name from the token
	}
	conn, err := amqp.DialConfig(b.uri.String(), amqp.Config{
		SASL:            []amqp.Authentication{sasl},
		TLSClientConfig: b.tls,
		Heartbeat:       10 * time.Second,
		Properties:      amqp.Table{"connection_name": "azurepg example"},
		Dial:            dialer(ctx),
	})
	if refusal := (*amqp.Error)(nil); b.tokens != nil && errors.As(err, &refusal) && refusal.Code == amqp.AccessRefused {
		b.tokens.Invalidate(token) // the next dial gets another one, if there is one
	}
	return conn, err
}

// dialer ends with ctx, and with half a minute for TLS and login.
func dialer(ctx context.Context) func(network, addr string) (net.Conn, error) {
	return func(network, addr string) (net.Conn, error) {
		const limit = 30 * time.Second
		conn, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return conn, conn.SetDeadline(time.Now().Add(limit)) // amqp091 lifts it after the login
	}
}

// keep has use work with a connection, and with another one when that has ended,
// until ctx is done. Use returns when its connection ends or ctx does.
func (b *broker) keep(ctx context.Context, use func(context.Context, *amqp.Connection) error) {
	wait := firstWait
	for ctx.Err() == nil {
		began := time.Now()
		err := b.once(ctx, use)
		if ctx.Err() != nil {
			return
		}
		b.logger.Warn("connecting again", "because", azurepg.Redact(fmt.Sprint(b.explain(err))))
		if time.Since(began) > 10*time.Second {
			wait = firstWait // it was good for a while
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

const firstWait = 50 * time.Millisecond

func (b *broker) once(ctx context.Context, use func(context.Context, *amqp.Connection) error) error {
	conn, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	go func() {
		if err := <-closed; err != nil {
			cancel(err)
		}
	}()
	if b.tokens != nil {
		go func() { cancel(b.renew(ctx, conn)) }()
	}
	if err = use(ctx, conn); err == nil {
		err = errors.New("the connection has ended")
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return err
}

// renew gives a connection each new token, well before the end of the one that it has. It
// returns when that fails or ctx is done.
func (b *broker) renew(ctx context.Context, conn *amqp.Connection) error {
	last, err := b.tokens.Token(ctx)
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(time.Until(last.ExpiresOn)/4, 100*time.Millisecond)):
		}
		token, tokenErr := b.tokens.Token(ctx)
		switch {
		case tokenErr != nil: // the connection goes on; what is tried later may succeed
			b.logger.Warn("no token", "because", azurepg.Redact(tokenErr.Error()))
		case token.Token != last.Token:
			err = conn.UpdateSecret(token.Token, "the last one ends soon")
			last = token
		}
	}
	return fmt.Errorf("RabbitMQ does not take the new token: %w", err)
}
