package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"

	"github.com/azurepg/azurepg/doctor"
)

var doctorCommand = command{
	name: "doctor", args: "[DSN]", summary: "finds out why a login fails, step by step",
	help: `
It logs in as a program with this DSN would, and shows for each step what it found and how
long it took: the settings and where each came from, the server's names and addresses, TCP,
TLS, the credential, its token, the login, the role and the server. It changes nothing.

	azurepg doctor 'postgres://app@mydb.postgres.database.azure.com/shop'

A step begins with ✓ if all is well, ! if there is something to look at, ✗ if it failed and
- if it needs one that failed. What failed first comes once more at the end, on standard
error, with what to do. No token and no secret is printed; names, ids and addresses are.

Exit codes: 0 no step failed, 1 one did, 2 the DSN cannot work, and nothing was dialled.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *streams, []string) error {
		asJSON := flags.Bool("json", false, "print the report as JSON when it is complete")
		return func(ctx context.Context, std *streams, args []string) error {
			dsn, err := dsnArgument(args)
			if err != nil {
				return err
			}
			return diagnose(ctx, std, dsn, *asJSON)
		}
	},
}

func diagnose(ctx context.Context, std *streams, dsn string, asJSON bool) error {
	each := func(s doctor.Step) { fmt.Fprint(std.out, s) }
	if asJSON {
		each = nil
	}
	report := doctor.Examine(ctx, dsn, each)
	if asJSON {
		encoder := json.NewEncoder(std.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	}
	failed := report.FirstFailure()
	if failed == nil {
		return nil
	}
	code, text := exitFailed, failed.Name+" failed: "+failed.Problem
	if failed.Name == doctor.StepDSN {
		code = exitUsage
	}
	if failed.Cure != "" {
		text += ": " + failed.Cure
	}
	return &exitError{code, fmt.Errorf("%s", text)}
}
