package task

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/azurepg/azurepg/examples/celery-worker/internal/message"
)

// bind sets the fields of args, in the order of Python's rules and with its TypeErrors.
func bind(args reflect.Value, t *message.Task) error {
	fields := reflect.VisibleFields(args.Type())
	if len(t.Args) > len(fields) {
		return typeError(t, "takes %d arguments but %d were given", len(fields), len(t.Args))
	}
	kwargs := maps.Clone(t.Kwargs)
	for i, field := range fields {
		name := nameOf(field)
		value, named := kwargs[name]
		delete(kwargs, name)
		switch {
		case i < len(t.Args) && named:
			return typeError(t, "got multiple values for argument '%s'", name)
		case i < len(t.Args):
			value = t.Args[i]
		case !named && field.Type.Kind() == reflect.Pointer:
			continue
		case !named:
			return typeError(t, "missing 1 required argument: '%s'", name)
		}
		if err := json.Unmarshal(value, args.FieldByIndex(field.Index).Addr().Interface()); err != nil {
			return typeError(t, "argument '%s' must be of Go's type %s", name, field.Type)
		}
	}
	if len(kwargs) > 0 {
		return typeError(t, "got an unexpected keyword argument '%s'", slices.Sorted(maps.Keys(kwargs))[0])
	}
	return nil
}

func nameOf(field reflect.StructField) string {
	if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
		return name
	}
	return strings.ToLower(field.Name)
}

func typeError(t *message.Task, format string, args ...any) error {
	return message.NewException("TypeError", t.Name+"() "+format, args...)
}
