package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// A subscription receives what is published on a channel, for longer than a connection
// lives. Go-redis subscribes again when a connection is cut, but what is published in
// between is lost; so a subscription moves to a new connection before that.
type subscription struct {
	client  *client
	channel string
	private string // a channel of its own, of which it knows when it moves
	receive func(message string)
	warn    func(error) // it could not move and stays where it is
}

func (c *client) subscribe(channel string, receive func(string), warn func(error)) *subscription {
	return &subscription{client: c, channel: channel, private: channel + ":" + rand.Text(), receive: receive, warn: warn}
}

// run receives until ctx is done. It calls ready once, when nothing can be lost any more.
func (s *subscription) run(ctx context.Context, ready func()) error {
	current, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { current.Close() }()
	ready()
	move := time.NewTicker(s.client.login.Subscription)
	defer move.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case message := <-current.Channel():
			s.receive(message.Payload)
		case <-move.C:
			next, err := s.moveFrom(ctx, current)
			if err == nil {
				current.Close()
				current = next
			} else if ctx.Err() == nil {
				s.warn(fmt.Errorf("subscription stays on its connection: %w", err))
			}
		}
	}
}

// open subscribes on a connection of its own.
func (s *subscription) open(ctx context.Context) (*redis.PubSub, error) {
	// The private channel comes first: nothing is published there yet, so that both
	// confirmations come before any message.
	conn := s.client.Subscribe(ctx, s.private, s.channel)
	for range 2 {
		if _, err := conn.Receive(ctx); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// moveFrom returns a new connection that goes on where it has stopped receiving from
// the old one. Redis writes to both in the order in which it was told to publish: what is
// before a marker is taken from the old one, what is after it from the new one.
func (s *subscription) moveFrom(ctx context.Context, old *redis.PubSub) (next *redis.PubSub, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if next, err = s.open(ctx); err != nil {
		return nil, err
	}
	marker := rand.Text()
	err = s.client.Publish(ctx, s.private, marker).Err()
	if err == nil {
		err = s.until(ctx, old, marker, s.receive)
	}
	if err == nil {
		err = s.until(ctx, next, marker, func(string) {}) // the old one had it
	}
	if err != nil {
		next.Close()
		return nil, err
	}
	return next, nil
}

// until receives from conn what is before the marker.
func (s *subscription) until(ctx context.Context, conn *redis.PubSub, marker string, receive func(string)) error {
	for {
		select {
		case <-ctx.Done():
			return errors.New("the marker does not arrive")
		case message := <-conn.Channel():
			switch {
			case message.Channel == s.channel:
				receive(message.Payload)
			case message.Payload == marker:
				return nil
			}
		}
	}
}
