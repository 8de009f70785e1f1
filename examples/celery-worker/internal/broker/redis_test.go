package broker

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/azurepg/azurepg/examples/internal/brokertest"
)

// startRedis returns functions that make a client and a Redis of the package, which all
// have the queue "celery" and a visibility timeout of two seconds.
func startRedis(t *testing.T) (client *redis.Client, newRedis func() *Redis) {
	t.Helper()
	server := brokertest.RedisFor(t)
	return server.Admin(), func() *Redis {
		options := *server.Admin().Options()
		r := NewRedis(redis.NewClient(&options), "celery", 2*time.Second, slog.New(slog.DiscardHandler))
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
}

// envelope is a message as kombu writes it.
func envelope(tag string) string {
	return `{"body": "W10=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"id": "` + tag + `", "empty": []}, ` +
		`"properties": {"delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "` + tag + `"}}`
}

func push(t *testing.T, client *redis.Client, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := client.LPush(t.Context(), "celery", text).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func receive(t *testing.T, r *Redis) *Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := r.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func id(d *Delivery) string { return string(d.Header("id")) }

func TestWhatIsNotAcknowledgedStandsInRedisAsKombuHasIt(t *testing.T) {
	client, newRedis := startRedis(t)
	push(t, client, envelope("a"))
	before := time.Now().Add(-time.Minute)
	d := receive(t, newRedis())
	stored, err := client.HGet(t.Context(), "unacked", "a").Result()
	if want := "[" + envelope("a") + `,"","celery"]`; err != nil || stored != want {
		t.Errorf("unacked has %s, %v; want %s", stored, err, want)
	}
	score, err := client.ZScore(t.Context(), "unacked_index", "a").Result()
	if at := time.Unix(int64(score), 0); err != nil || at.Before(before) || at.After(time.Now().Add(time.Minute)) {
		t.Errorf("unacked_index has %v, %v", score, err)
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := client.DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("%d keys are left, %v", n, err)
	}
}

func TestRequeuedMessageComesNextAndIsMarked(t *testing.T) {
	client, newRedis := startRedis(t)
	r := newRedis()
	push(t, client, envelope("a"), envelope("b"))
	if err := receive(t, r).Requeue(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := receive(t, r)
	if id(d) != `"a"` || string(d.Header("redelivered")) != "true" || string(d.Header("empty")) != "[]" {
		t.Errorf("received %s", d.Headers)
	}
}

// The worker that works on it renews its time; when that ends, another one gets it.
func TestMessageIsGivenToAnotherWorkerOnlyWhenItsOwnIsDead(t *testing.T) {
	client, newRedis := startRedis(t)
	push(t, client, envelope("a"))
	first, second := newRedis(), newRedis()
	alive, die := context.WithCancel(t.Context())
	defer die()
	receive(t, first)
	go first.Maintain(alive)
	go second.Maintain(t.Context())
	meanwhile, cancel := context.WithTimeout(t.Context(), 3*second.visibility)
	defer cancel()
	if d, err := second.Receive(meanwhile); err == nil {
		t.Fatalf("the second worker received %s", d.Headers)
	}
	die()
	if d := receive(t, second); id(d) != `"a"` || string(d.Header("redelivered")) != "true" {
		t.Errorf("received %s", d.Headers)
	}
}

// Between finding an old message and giving it back, its worker may have died, another
// restored it, and a third received it.
func TestMessageWithANewTimeIsNotGivenBack(t *testing.T) {
	client, newRedis := startRedis(t)
	push(t, client, envelope("a"))
	r := newRedis()
	receive(t, r)
	if err := r.giveBack(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	if n, err := client.LLen(t.Context(), "celery").Result(); err != nil || n != 0 {
		t.Errorf("the queue has %d messages, %v", n, err)
	}
}

func TestMessageOfAnExchangeGoesBackToItsQueue(t *testing.T) {
	client, newRedis := startRedis(t)
	ctx := t.Context()
	for _, binding := range []string{"other\x06\x16\x06\x16elsewhere", "key\x06\x16\x06\x16theirs"} {
		if err := client.SAdd(ctx, "_kombu.binding.exchange", binding).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(client.HSet(ctx, "unacked", "a", "["+envelope("a")+`, "exchange", "key"]`).Err(),
		client.ZAdd(ctx, "unacked_index", redis.Z{Score: 1.5, Member: "a"}).Err()); err != nil {
		t.Fatal(err)
	}
	if err := newRedis().restore(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := client.LLen(ctx, "theirs").Result(); err != nil || n != 1 {
		t.Errorf("the queue has %d messages, %v", n, err)
	}
}

func TestWhatIsNoMessageIsDroppedAndTheRestGoesOn(t *testing.T) {
	client, newRedis := startRedis(t)
	withoutTag, err := json.Marshal(map[string]any{"body": "%", "properties": map[string]any{"body_encoding": "base64"}})
	if err != nil {
		t.Fatal(err)
	}
	push(t, client, "no JSON", `[]`, `{}`, strconv.Quote("text"), string(withoutTag), envelope("a"))
	d := receive(t, newRedis())
	if id(d) != `"a"` {
		t.Errorf("received %s", d.Headers)
	}
	if n, err := client.HLen(t.Context(), "unacked").Result(); err != nil || n != 1 {
		t.Errorf("%d are not acknowledged, %v; want the one received", n, err)
	}
}

func TestEndOfContextEndsReceive(t *testing.T) {
	_, newRedis := startRedis(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := newRedis().Receive(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
