// Package task calls Go functions as Python calls its own.
package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

// A Func runs a task and returns its result in JSON.
type Func func(ctx context.Context, t *message.Task) (json.RawMessage, error)

// Registry holds functions by the names that Python calls them by.
type Registry map[string]Func

// New makes a Func of f. The exported fields of the struct A are the arguments, by
// position in their order and by keyword under their JSON names; a field of a pointer
// type may be left out. Unlike in Python a wrong type is found before the call.
//
// An error of f that is or wraps a *message.Exception becomes that exception in Python,
// any other one an Exception with the error's text, which the sender can read.
func New[A, R any](f func(context.Context, A) (R, error)) Func {
	return func(ctx context.Context, t *message.Task) (_ json.RawMessage, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = &Panic{value: p, Stack: debug.Stack()}
			}
		}()
		var args A
		if err := bind(reflect.ValueOf(&args).Elem(), t); err != nil {
			return nil, err
		}
		result, err := f(ctx, args)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(result)
		if err != nil {
			return nil, &message.Exception{Type: "EncodeError", Module: "kombu.exceptions", Message: []any{"the result is not for JSON: " + err.Error()}}
		}
		return value, nil
	}
}

// Run calls the function that t names, or raises NotRegistered.
func (r Registry) Run(ctx context.Context, t *message.Task) (json.RawMessage, error) {
	f, ok := r[t.Name]
	if !ok {
		return nil, &message.Exception{Type: "NotRegistered", Module: "celery.exceptions", Message: []any{t.Name}}
	}
	return f(ctx, t)
}

// A Panic is a function that panicked. What is stored says only that it did.
type Panic struct {
	value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprint("panic: ", p.value) }

// Exception is err as Python sees it.
func Exception(err error) *message.Exception {
	var e *message.Exception
	var p *Panic
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &p):
		return message.NewException("RuntimeError", "the task panicked; the worker's log says where")
	}
	return message.NewException("Exception", "%s", err)
}
