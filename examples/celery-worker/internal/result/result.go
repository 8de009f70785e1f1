// Package result stores what tasks return where Python's AsyncResult looks for it.
package result

import (
	"context"
	"encoding/json"
	"time"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

// States of a task that has ended.
const (
	Success = "SUCCESS"
	Failure = "FAILURE"
	Revoked = "REVOKED" // not run, since it has expired
)

// A Result is how a task ended.
type Result struct {
	TaskID string
	Group  string // the group that the task is of, "" if none
	State  string
	Value  json.RawMessage // what it returned, or the exception
	Done   time.Time
}

// Of returns the result of a task: value, unless err says otherwise.
func Of(t *message.Task, value json.RawMessage, err *message.Exception) (Result, error) {
	r := Result{TaskID: t.ID, Group: t.Group, State: Success, Value: value, Done: time.Now().UTC()}
	if err == nil {
		return r, nil
	}
	r.State = Failure
	if err.Type == "TaskRevokedError" {
		r.State = Revoked
	}
	var encodeErr error
	r.Value, encodeErr = json.Marshal(err)
	return r, encodeErr
}

// A Store is a result backend. Its methods are safe for concurrent use.
type Store interface {
	// Prepare checks that the store is there and can be used.
	Prepare(ctx context.Context) error
	// Put stores r, and may be repeated. A success that is stored already stays: then
	// the task was delivered twice.
	Put(ctx context.Context, r Result) error
	Close() error
}
