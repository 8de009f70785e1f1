// Azurepg is for the person at the terminal, and for programs that are not written in
// Go, which log in to Azure Database for PostgreSQL with Microsoft Entra tokens.
//
//	go install github.com/azurepg/azurepg/cmd/azurepg@latest
//
//	azurepg COMMAND [FLAGS] [ARGUMENTS]
//
//	doctor    finds out why a login fails, step by step
//	token     prints an access token, for PGPASSWORD
//	psql      runs psql with a token for its password
//	passfile  keeps a libpq password file fresh
//	proxy     lets local programs in any language log in without a password
//
// "azurepg help" lists them, and "azurepg COMMAND -h" says all about one. A DSN
// is what azurepg.ParseDSN takes; without one, the PG* and AZURE_* variables say it all.
//
// # Exit codes
//
//	0  it worked
//	1  it did not: the last line on standard error says why
//	2  the command line or the DSN cannot work; nothing was dialled
//
// A psql that was started has an exit code of its own, which is passed on. An interrupt
// or SIGTERM ends a command in good order.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/azurepg/azurepg"
)

// The exit codes; see the package's comment.
const (
	exitFailed = 1
	exitUsage  = 2
)

// A command is one word after azurepg.
type command struct {
	name    string
	args    string // what follows the flags, for the usage line
	summary string // one line, for the list
	help    string // what -h says above the flags: what it does, and an example
	// run does it. setup declares the flags and returns run, which gets what is left of
	// the command line; an error is printed, and ends the process with its exit code.
	setup func(*flag.FlagSet) (run func(context.Context, *streams, []string) error)
}

// streams are a command's.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// commands in the order of the list.
var commands = []command{
	doctorCommand,
	tokenCommand,
	psqlCommand,
	passfileCommand,
	proxyCommand,
}

// exitError ends the process with a code. Without a cause nothing is printed.
type exitError struct {
	code  int
	cause error
}

func (e *exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }

// usagef is an error in the command line.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// dsnArgument returns the DSN, the one argument that there may be. An argument may hold
// a secret, and so does not stand in the error.
func dsnArgument(args []string) (dsn string, err error) {
	switch {
	case len(args) == 0:
		return "", nil
	case len(args) > 1:
		return "", usagef("one DSN is wanted and there are %d arguments: flags come before it, and it stands in quotes", len(args))
	}
	return args[0], nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, &streams{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run is main without the process.
func run(ctx context.Context, std *streams, args []string) int {
	if len(args) == 0 {
		printCommands(std.err)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) > 1 {
			return run(ctx, std, []string{args[1], "-h"})
		}
		printCommands(std.out)
		return 0
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.exec(ctx, std, args[1:])
		}
	}
	fmt.Fprintf(std.err, "azurepg: there is no command %q: azurepg help lists them\n", azurepg.Redact(args[0]))
	return exitUsage
}

func printCommands(w io.Writer) {
	fmt.Fprint(w, "azurepg logs in to Azure Database for PostgreSQL with Microsoft Entra tokens.\n\n\tazurepg COMMAND [FLAGS] [ARGUMENTS]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "\t%-10s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nazurepg COMMAND -h says all about one. Exit codes: 0 it worked, 1 it did not,\n2 the command line or the DSN cannot work.\n")
}

// exec parses the flags, runs c, and says what went wrong in one line.
func (c *command) exec(ctx context.Context, std *streams, args []string) int {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	run := c.setup(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		c.printHelp(std.out, flags)
		return 0
	case err != nil:
		// What flag says of a value that it cannot read quotes it, and a DSN in the wrong
		// place may hold a secret.
		fmt.Fprintf(std.err, "azurepg %s: %s (azurepg %[1]s -h says what it takes)\n", c.name, azurepg.Redact(err.Error()))
		return exitUsage
	}
	return report(std.err, c.name, run(ctx, std, flags.Args()))
}

func (c *command) printHelp(w io.Writer, flags *flag.FlagSet) {
	line, some := []string{"azurepg", c.name}, false
	flags.VisitAll(func(*flag.Flag) { some = true })
	if some {
		line = append(line, "[FLAGS]")
	}
	if c.args != "" {
		line = append(line, c.args)
	}
	fmt.Fprintf(w, "azurepg %s: %s\n\n\t%s\n\n%s\n", c.name, c.summary, strings.Join(line, " "), strings.TrimSpace(c.help))
	if some {
		fmt.Fprint(w, "\nFlags:\n")
		flags.SetOutput(w)
		flags.PrintDefaults()
	}
}

// report prints err and returns the exit code that it stands for.
func report(w io.Writer, name string, err error) int {
	if err == nil {
		return 0
	}
	var exit *exitError
	if errors.As(err, &exit) && exit.cause == nil {
		return exit.code
	}
	fmt.Fprintf(w, "azurepg %s: %s\n", name, strings.TrimPrefix(err.Error(), "azurepg: "))
	if exit != nil {
		return exit.code
	}
	if errors.As(err, new(*azurepg.DSNError)) {
		return exitUsage
	}
	return exitFailed
}
