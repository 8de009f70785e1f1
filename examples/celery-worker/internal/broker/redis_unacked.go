package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

// fetchScript moves the next message to unacked, in kombu's form: the message as it is,
// its exchange and its routing key. What is no message is taken out and has no tag. Times
// are those of Redis, so that workers need not agree on theirs.
// KEYS: unacked, unacked_index, the lists.
var fetchScript = redis.NewScript(`
for i = 3, #KEYS do
	local text = redis.call('rpop', KEYS[i])
	if text then
		local ok, message = pcall(cjson.decode, text)
		if not ok or type(message) ~= 'table' or type(message.properties) ~= 'table' then return {text, false} end
		local tag = message.properties.delivery_tag
		if type(tag) ~= 'string' then tag = redis.sha1hex(text) end
		local info, exchange, key = message.properties.delivery_info, '', ''
		if type(info) == 'table' then
			if type(info.exchange) == 'string' then exchange = info.exchange end
			if type(info.routing_key) == 'string' then key = info.routing_key end
		end
		local now = redis.call('time')
		redis.call('zadd', KEYS[2], now[1] .. '.' .. string.format('%06d', now[2]), tag)
		redis.call('hset', KEYS[1], tag, '[' .. text .. ',' .. cjson.encode(exchange) .. ',' .. cjson.encode(key) .. ']')
		return {text, tag}
	end
end
return false`)

// giveBackScript moves a message from unacked to the end of a list that is served first,
// unless somebody else has done so: then its time is another one, or gone.
// KEYS: unacked, unacked_index, the list. ARGV: tag, the time or "", the message.
var giveBackScript = redis.NewScript(`
local score = redis.call('zscore', KEYS[2], ARGV[1])
if ARGV[2] ~= '' and tonumber(score or '') ~= tonumber(ARGV[2]) then return 0 end
redis.call('zrem', KEYS[2], ARGV[1])
if redis.call('hdel', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('rpush', KEYS[3], ARGV[3])
return 1`)

// Maintain renews the times of messages that are worked on, and gives those back whose
// worker has died.
func (r *Redis) Maintain(ctx context.Context) {
	ticker := time.NewTicker(min(r.visibility/4, 10*time.Second))
	defer ticker.Stop()
	for {
		if err := errors.Join(r.renew(ctx), r.restore(ctx)); err != nil && ctx.Err() == nil {
			r.logger.Warn("could not look after messages that are not acknowledged", "error", azurepg.Redact(err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *Redis) renew(ctx context.Context) error {
	r.mu.Lock()
	tags := slices.Collect(maps.Keys(r.held))
	r.mu.Unlock()
	if len(tags) == 0 {
		return nil
	}
	now, err := r.client.Time(ctx).Result()
	if err != nil {
		return err
	}
	var members []redis.Z
	for _, tag := range tags {
		members = append(members, redis.Z{Score: seconds(now), Member: tag})
	}
	return r.client.ZAddXX(ctx, unackedIndex, members...).Err()
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// restore gives back at most a hundred messages, the oldest first.
func (r *Redis) restore(ctx context.Context) error {
	now, err := r.client.Time(ctx).Result()
	if err != nil {
		return err
	}
	old, err := r.client.ZRangeByScoreWithScores(ctx, unackedIndex, &redis.ZRangeBy{
		Min: "-inf", Max: number(seconds(now.Add(-r.visibility))), Count: 100,
	}).Result()
	for _, z := range old {
		tag, _ := z.Member.(string)
		r.logger.Warn("a message was not acknowledged in time: back to its queue")
		err = errors.Join(err, r.giveBack(ctx, tag, number(z.Score)))
	}
	return err
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// giveBack gives the message back, if its time is that one; "" is any.
func (r *Redis) giveBack(ctx context.Context, tag, score string) error {
	stored, err := r.client.HGet(ctx, unacked, tag).Result()
	if errors.Is(err, redis.Nil) {
		return r.client.ZRem(ctx, unackedIndex, tag).Err()
	}
	if err != nil {
		return err
	}
	var text json.RawMessage
	var exchange, key string
	if err := json.Unmarshal([]byte(stored), &[]any{&text, &exchange, &key}); err != nil {
		return fmt.Errorf("an entry of %s that is not kombu's", unacked)
	}
	if marked, err := message.Redelivered(text); err == nil {
		text = marked
	}
	queues, err := r.queuesOf(ctx, exchange, key)
	if err != nil {
		return err
	}
	list := r.queue // of an exchange that nothing is bound to any more
	if len(queues) > 0 {
		list = queues[0]
	}
	return giveBackScript.Run(ctx, r.client, []string{unacked, unackedIndex, list}, tag, score, []byte(text)).Err()
}

// queuesOf finds the queues of an exchange as kombu does: the exchange "" has for each
// queue its name as the routing key.
func (r *Redis) queuesOf(ctx context.Context, exchange, key string) ([]string, error) {
	if exchange == "" {
		return []string{key}, nil
	}
	bindings, err := r.client.SMembers(ctx, "_kombu.binding."+exchange).Result()
	var queues []string
	for _, binding := range bindings {
		if part := strings.Split(binding, separator); len(part) == 3 && part[0] == key {
			queues = append(queues, part[2])
		}
	}
	return queues, err
}
