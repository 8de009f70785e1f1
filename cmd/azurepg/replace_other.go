//go:build !unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// replace runs a program and passes its exit code on. Ctrl-C at the terminal reaches the
// program by itself, and only ends that.
func replace(program string, args, env []string) error {
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return &exitError{code: ended.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("psql cannot be started: %w", err)
	}
	return nil
}
