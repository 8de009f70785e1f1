//go:build unix

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/azurepg/azurepg/examples/internal/child"
	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

// The tests run this binary as the worker, with runVariable set.
const runVariable = "CELERY_WORKER_TEST_RUN"

func start(t *testing.T, env []string, program string, args ...string) *child.Process {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = env
	return child.Start(t, secretsIn, cmd)
}

// startWorkerAtAll runs a worker, which may have reasons to end at once.
func startWorkerAtAll(t *testing.T, p place, settings ...string) *child.Process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, slices.Concat(p.worker(), settings, []string{runVariable + "=1"}), program)
}

// startWorker returns when the worker has begun.
func startWorker(t *testing.T, p place, settings ...string) *child.Process {
	t.Helper()
	w := startWorkerAtAll(t, p, settings...)
	w.Prints(" works on queue ", 1)
	return w
}

// A client is Python with functions of testdata/client.py.
type client struct {
	*child.Process
	t *testing.T
}

func startClient(t *testing.T, p place, env []string, functions ...string) client {
	t.Helper()
	return client{start(t, slices.Concat(p.client(), env), pythontest.Python, append([]string{"testdata/client.py"}, functions...)...), t}
}

// next is what the client prints next for name, as JSON.
func (c client) next(name string) string {
	c.t.Helper()
	text := c.Line()
	var line map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &line); err != nil || line[name] == nil {
		c.t.Fatalf("the client printed %q; want %q", text, name)
	}
	return string(line[name])
}
