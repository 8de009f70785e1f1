package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// names of what reauth makes in Redis, and removes. One program at a time can count them.
const (
	counterKey = "azurepg:reauth:counter"
	queueKey   = "azurepg:reauth:queue"
	channelKey = "azurepg:reauth:channel"
)

// A load is what a long-lived program does, and what came of it.
type load struct {
	client *client
	out    io.Writer

	commands, published, received, pushed, popped atomic.Int64
	errors                                        atomic.Int64
}

// reauth uses all that a token's end can cut, until ctx is done, and says how it went: a pool
// of which eight are busy at once and idle then, a subscription, and pops that block.
func reauth(ctx context.Context, c *client, out io.Writer) error {
	if err := c.Del(ctx, counterKey, queueKey).Err(); err != nil { // of a run that was killed
		return err
	}
	l := &load{client: c, out: out}
	defer c.Del(context.WithoutCancel(ctx), counterKey, queueKey)
	producing, stop := context.WithCancel(ctx)
	defer stop()
	consuming, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()

	var consumers, producers sync.WaitGroup
	subscribed := make(chan struct{})
	consumers.Go(func() {
		s := c.subscribe(channelKey, func(string) { l.received.Add(1) }, l.failed)
		if err := s.run(consuming, func() { close(subscribed) }); err != nil {
			l.failed(err)
		}
	})
	select {
	case <-subscribed:
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("no subscription"), c.Ping(ctx).Err())
	}
	for range 2 {
		consumers.Go(func() { l.pop(consuming) })
	}
	for range 6 {
		producers.Go(func() { l.count(producing) })
	}
	producers.Go(func() { l.publish(producing) })
	producers.Go(func() { l.push(producing) })
	producers.Wait()
	l.settle(consuming)
	done()
	consumers.Wait()
	return l.report()
}

// every calls f at the same time as everybody else's, ten times a second.
func every(ctx context.Context, f func(context.Context)) {
	const beat = 100 * time.Millisecond
	for ctx.Err() == nil {
		f(context.WithoutCancel(ctx)) // to its end: half a command is no error of Redis
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(time.Now().Truncate(beat).Add(beat))):
		}
	}
}

// did counts in n what was done, or an error, which it shows.
func (l *load) did(n *atomic.Int64, err error) {
	if err == nil {
		n.Add(1)
	} else {
		l.failed(err)
	}
}

func (l *load) failed(err error) {
	l.errors.Add(1)
	fmt.Fprintln(l.out, "error:", l.client.explain(err))
}

func (l *load) count(ctx context.Context) {
	every(ctx, func(ctx context.Context) { l.did(&l.commands, l.client.Incr(ctx, counterKey).Err()) })
}

func (l *load) publish(ctx context.Context) {
	every(ctx, func(ctx context.Context) {
		l.did(&l.published, l.client.Publish(ctx, channelKey, strconv.FormatInt(l.published.Load(), 10)).Err())
	})
}

func (l *load) push(ctx context.Context) {
	every(ctx, func(ctx context.Context) {
		l.did(&l.pushed, l.client.RPush(ctx, queueKey, l.pushed.Load()).Err())
	})
}

// pop blocks until there is something, no longer than a connection's token lasts.
func (l *load) pop(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.client.BLPop(ctx, l.client.login.Command, queueKey).Err()
		if errors.Is(err, redis.Nil) || ctx.Err() != nil {
			continue // nothing in that time
		}
		l.did(&l.popped, err)
	}
}

// settle waits until all has arrived, or will not any more.
func (l *load) settle(ctx context.Context) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ctx.Err() != nil || l.received.Load() >= l.published.Load() && l.popped.Load() >= l.pushed.Load() {
			return
		}
	}
}

func (l *load) report() error {
	fmt.Fprintf(l.out, "%d commands, %d of %d messages received, %d of %d items popped, %d tokens, %d errors\n",
		l.commands.Load(), l.received.Load(), l.published.Load(), l.popped.Load(), l.pushed.Load(), l.client.login.Tokens.Stats().Fetches, l.errors.Load())
	if l.errors.Load() > 0 || l.received.Load() != l.published.Load() || l.popped.Load() != l.pushed.Load() {
		return errors.New("something went wrong")
	}
	return nil
}
