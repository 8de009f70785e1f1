package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/control"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

// DefaultVisibilityTimeout is kombu's.
const DefaultVisibilityTimeout = time.Hour

// replyTimeout is longer than servers stall. go-redis would ask again after five seconds,
// and the message in the first answer would be nobody's until the visibility timeout.
// (kombu waits for two minutes.)
const replyTimeout = 30 * time.Second

// A Redis is Redis as kombu uses it: a list for each queue and priority, and of what has
// been received and not acknowledged the messages in the hash unacked and the times in
// the sorted set unacked_index. A message that has been there for the visibility timeout
// goes back to its queue.
//
// Unlike kombu, it moves a message from its list to unacked in one step, so that none is
// lost between the two, and renews the times of those that it still works on, so that
// long tasks and those with a late ETA are not given to another worker meanwhile.
//
// Source: kombu/transport/redis.py of kombu 5.2.4.
type Redis struct {
	client     *redis.Client
	queue      string
	lists      []string // of queue, in the order of priority
	visibility time.Duration
	logger     *slog.Logger

	mu   sync.Mutex // guards held
	held map[string]bool
}

var _ Broker = (*Redis)(nil)

const (
	unacked      = "unacked"
	unackedIndex = "unacked_index"
	separator    = "\x06\x16"
)

// The priorities that have lists of their own, 0 being the first to be served; kombu
// puts the others into the next lower one.
var prioritySuffixes = []string{"", separator + "3", separator + "6", separator + "9"}

// NewRedis returns a Redis for one queue. All workers of a broker need the same
// visibility timeout. It takes over the client.
func NewRedis(client *redis.Client, queue string, visibility time.Duration, logger *slog.Logger) *Redis {
	r := &Redis{client: client.WithTimeout(replyTimeout), queue: queue, visibility: visibility, logger: logger, held: map[string]bool{}}
	for _, suffix := range prioritySuffixes {
		r.lists = append(r.lists, queue+suffix)
	}
	return r
}

// Check sends a PING.
func (r *Redis) Check(ctx context.Context) error { return r.client.Ping(ctx).Err() }

// Close closes the client.
func (r *Redis) Close() error { return r.client.Close() }

// Prefetch has no effect: Redis sends nothing unasked.
func (r *Redis) Prefetch(int) error { return nil }

// Receive takes the first message of the list that is to be served first.
func (r *Redis) Receive(ctx context.Context) (*Delivery, error) {
	for ctx.Err() == nil {
		text, tag, err := r.fetch(ctx)
		switch {
		case err != nil:
			return nil, err
		case text == "":
			if err := r.wait(ctx); err != nil {
				return nil, err
			}
		case tag == "":
			r.logger.Error("dropped a message without kombu's envelope")
		default:
			if d := r.deliver(ctx, text, tag); d != nil {
				return d, nil
			}
		}
	}
	return nil, ctx.Err()
}

func (r *Redis) deliver(ctx context.Context, text, tag string) *Delivery {
	m, err := message.Open([]byte(text))
	if err != nil {
		r.logger.Error("dropped " + err.Error())
		if err := r.ack(ctx, tag); err != nil {
			r.logger.Error("could not drop it", "error", azurepg.Redact(err.Error()))
		}
		return nil
	}
	r.hold(tag, true)
	return &Delivery{
		Message: m,
		Ack: func(ctx context.Context) error {
			defer r.hold(tag, false)
			return r.ack(ctx, tag)
		},
		Requeue: func(ctx context.Context) error {
			defer r.hold(tag, false)
			return r.giveBack(ctx, tag, "")
		},
	}
}

func (r *Redis) hold(tag string, hold bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if hold {
		r.held[tag] = true
	} else {
		delete(r.held, tag)
	}
}

// fetch returns no text if all lists are empty, and no tag for what is no message.
func (r *Redis) fetch(ctx context.Context) (text, tag string, err error) {
	reply, err := fetchScript.Run(ctx, r.client, append([]string{unacked, unackedIndex}, r.lists...)).Slice()
	if errors.Is(err, redis.Nil) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	text, _ = reply[0].(string)
	if len(reply) > 1 {
		tag, _ = reply[1].(string)
	}
	return text, tag, nil
}

// wait returns when there may be a message, a second later at the latest. Moving a list's
// last element to its own head changes nothing and loses nothing, but waits for one; the
// lists of other priorities are looked at every second. (BLMOVE would keep the order of a
// list that has grown meanwhile, but Azure Cache for Redis has 6.0.
// Source: learn.microsoft.com, "Redis - Update" (properties.redisVersion), read 2026-11.)
func (r *Redis) wait(ctx context.Context) error {
	err := r.client.Do(ctx, "brpoplpush", r.queue, r.queue, 1).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func (r *Redis) ack(ctx context.Context, tag string) error {
	_, err := r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, unackedIndex, tag)
		p.HDel(ctx, unacked, tag)
		return nil
	})
	return err
}

// Listen subscribes to kombu's channel for broadcasts. The client reconnects by itself.
func (r *Redis) Listen(ctx context.Context, _ string, handle func(message.Message)) error {
	subscription := r.client.Subscribe(ctx, fmt.Sprintf("/%d.%s", r.client.Options().DB, control.Exchange))
	defer context.AfterFunc(ctx, func() { _ = subscription.Close() })()
	defer subscription.Close()
	if _, err := subscription.Receive(ctx); err != nil {
		return err
	}
	for published := range subscription.Channel() {
		if m, err := message.Open([]byte(published.Payload)); err == nil {
			handle(m)
		}
	}
	return ctx.Err()
}

// Reply puts the answer into the queues that are bound to the address.
func (r *Redis) Reply(ctx context.Context, to control.Address, answer message.Message) error {
	text, err := answer.Seal(to.Exchange, to.RoutingKey)
	if err != nil {
		return err
	}
	queues, err := r.queuesOf(ctx, to.Exchange, to.RoutingKey)
	for _, queue := range queues {
		err = errors.Join(err, r.client.LPush(ctx, queue, text).Err())
	}
	return err
}
