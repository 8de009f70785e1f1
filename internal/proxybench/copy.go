package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// copies prints how fast a table goes in and out, as psql's COPY, and fails if what
// comes out is not what went in.
func copies(ctx context.Context, direct, through []string, dir string) error {
	const row = 100 // bytes
	in := filepath.Join(dir, "in")
	rows := *megabytes * 1_000_000 / row
	make := fmt.Sprintf(`\copy (select i, rpad(md5(i::text), 91, md5((i*7)::text)) from generate_series(1000000, 1000000+%d-1) i) to '%s'`, rows, in)
	if _, err := output(ctx, direct, "psql", "-X", "-q", "-c", make); err != nil {
		return err
	}
	want, err := checksum(ctx, in)
	if err != nil {
		return err
	}
	var seconds [2][2]float64
	for i, env := range [][]string{direct, through} {
		out := filepath.Join(dir, "out")
		for j, statements := range [][]string{
			{"truncate copied", `\copy copied from '` + in + `'`},
			{`\copy copied to '` + out + `'`},
		} {
			began := time.Now()
			args := []string{"-X", "-q", "-c", "create unlogged table if not exists copied (i int, t text)"}
			for _, s := range statements {
				args = append(args, "-c", s)
			}
			if _, err := output(ctx, append(env, "PGOPTIONS=-c client_min_messages=warning"), "psql", args...); err != nil {
				return err
			}
			seconds[j][i] = time.Since(began).Seconds()
		}
		got, err := checksum(ctx, out)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("COPY: what came out has checksum %s; want %s", got, want)
		}
	}
	for j, name := range []string{"in", "out"} {
		fmt.Printf("%-42s %12.1f %12.1f %8.2f\n", fmt.Sprintf("COPY %s of %d MB, seconds", name, *megabytes), seconds[j][0], seconds[j][1], seconds[j][1]/seconds[j][0])
	}
	fmt.Printf("%-42s %25s\n", "checksums of what went in and came out", "equal, "+want[:12])
	return nil
}

func checksum(ctx context.Context, file string) (string, error) {
	out, err := exec.CommandContext(ctx, "sha256sum", file).Output()
	if err != nil {
		return "", err
	}
	sum, _, _ := strings.Cut(string(out), " ")
	return sum, nil
}
