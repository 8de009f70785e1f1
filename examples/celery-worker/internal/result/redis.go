package result

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is Celery's Redis backend. What it does not do is count the tasks of a chord.
type Redis struct {
	Client *redis.Client
	Expire time.Duration // results go after this
}

// DefaultExpire is result_expires of Celery.
const DefaultExpire = 24 * time.Hour

var _ Store = Redis{}

// Prepare asks whether the server lets us in.
func (s Redis) Prepare(ctx context.Context) error { return s.Client.Ping(ctx).Err() }

// put stores a value and tells those who wait for it, unless there is a success.
// KEYS: the result. ARGV: the new value, its seconds to live.
var put = redis.NewScript(`
local old = redis.call('get', KEYS[1])
if old and cjson.decode(old).status == 'SUCCESS' then return 0 end
redis.call('setex', KEYS[1], ARGV[2], ARGV[1])
redis.call('publish', KEYS[1], ARGV[1])
return 1`)

// Put stores r under the key that Celery's client subscribes to.
func (s Redis) Put(ctx context.Context, r Result) error {
	meta := map[string]any{
		"task_id": r.TaskID, "status": r.State, "result": r.Value, "traceback": nil, "children": []any{},
		"date_done": r.Done.Format("2006-01-02T15:04:05.000000"),
	}
	if r.Group != "" {
		meta["group_id"] = r.Group
	}
	text, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	err = put.Run(ctx, s.Client, []string{"celery-task-meta-" + r.TaskID}, text, int(s.Expire.Seconds())).Err()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return err
}

// Close closes the client.
func (s Redis) Close() error { return s.Client.Close() }
