//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/examples/internal/child"
)

// lifetime of every token, after half of which it is renewed: a machine that stands still
// for the other half has logins refused, which pgxpool does not try again.
const lifetime = 10 * time.Second

var azure *azurepgtest.Server

// The tests run this binary as the program, with runVariable set.
const runVariable = "RIVER_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(runVariable) != "" {
		main()
		return
	}
	os.Exit(func() int {
		var err error
		if azure, err = azurepgtest.New(nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer azure.Close()
		azure.Entra.SetLifetime(lifetime)
		return m.Run()
	}())
}

// start runs the program.
func start(t *testing.T, dsn string, args ...string) *child.Process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(azure.Env(), "DATABASE_URL="+dsn, runVariable+"=1")
	return child.Start(t, azure.Leaks, cmd)
}

// A worker works, under a name that it has in River.
type worker struct {
	*child.Process
	id string
}

func startWorker(t *testing.T, dsn string, flags ...string) worker {
	t.Helper()
	p := start(t, dsn, slices.Concat(flags, []string{"work"})...)
	id, works := strings.CutPrefix(p.Line(), "working as ")
	if !works {
		t.Fatal("the worker says something else first")
	}
	return worker{p, id}
}
