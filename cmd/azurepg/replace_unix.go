//go:build unix

package main

import (
	"fmt"
	"syscall"
)

// replace puts a program in the place of this one: the terminal, its signals and the exit
// code are the program's, and no process with a command line that holds a DSN stays behind.
func replace(program string, args, env []string) error {
	err := syscall.Exec(program, append([]string{program}, args...), env)
	return fmt.Errorf("psql cannot be started: %w", err)
}
