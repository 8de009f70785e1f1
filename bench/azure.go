package main

import (
	"errors"
	"fmt"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// azure is the bench's end of the Server.
type azure struct {
	Info
	client *rpc.Client
	cmd    *exec.Cmd
	dir    string   // of the slow az
	before []string // the environment before Azure's
	names  atomic.Int64
}

// startAzure starts Azure in a process of its own, and makes this process one that runs
// there: azidentity and the system's certificates are found by the environment. A call of
// az takes azTakes.
func startAzure(azTakes time.Duration) (_ *azure, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	a := &azure{before: os.Environ(), cmd: exec.Command(self, serverCommand)}
	a.cmd.Stderr = os.Stderr
	in, err := a.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	a.client = jsonrpc.NewClient(pipes{out, in})
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if err := a.call("Start", None{}, &a.Info); err != nil {
		return nil, err
	}
	return a, a.enter(azTakes)
}

// enter sets the environment.
func (a *azure) enter(azTakes time.Duration) error {
	for _, kv := range a.Env {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "PG") {
			continue // each way names the server itself
		}
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	var err error
	if a.dir, err = os.MkdirTemp("", "azurepg-bench-*"); err != nil {
		return err
	}
	az := fmt.Sprintf("#!/bin/sh\nsleep %.3f\nexec '%s/az' \"$@\"\n", azTakes.Seconds(), a.AzureCLI)
	if err := os.WriteFile(filepath.Join(a.dir, "az"), []byte(az), 0o700); err != nil {
		return err
	}
	return os.Setenv("PATH", a.dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// close ends Azure, which notices the end of its input.
func (a *azure) close() error {
	return errors.Join(a.client.Close(), a.cmd.Wait(), os.RemoveAll(a.dir))
}

func (a *azure) call(method string, args, reply any) error {
	if err := a.client.Call("Server."+method, args, reply); err != nil {
		return fmt.Errorf("server: %s: %w", method, err)
	}
	return nil
}

// identities are who logs in.
type identities struct {
	app, managed App
	token        string // of app
}

// newIdentities are unknown to every cache.
func (a *azure) newIdentities() (id identities, err error) {
	n := a.names.Add(1)
	return id, errors.Join(
		a.call("AddApp", fmt.Sprint("app", n), &id.app),
		a.call("AddIdentity", fmt.Sprint("identity", n), &id.managed),
		a.call("Token", fmt.Sprint("app", n), &id.token))
}

// requests counts the token requests that f makes.
func (a *azure) requests(f func() error) (int, error) {
	var before, after int
	err := a.call("Requests", None{}, &before)
	if err == nil {
		err = errors.Join(f(), a.call("Requests", None{}, &after))
	}
	return after - before, err
}

func (a *azure) exec(sql string) error      { return a.call("Exec", sql, new(None)) }
func (a *azure) make(trouble Trouble) error { return a.call("Make", trouble, new(None)) }
