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
	var best [2][2]float64 // in and out, direct and through the proxy
	for n := range 2 * *rounds {
		i := n % 2
		seconds, got, err := roundTrip(ctx, [][]string{direct, through}[i], in, filepath.Join(dir, "out"))
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("COPY: what came out has checksum %s; want %s", got, want)
		}
		for j := range best {
			if best[j][i] == 0 || seconds[j] < best[j][i] {
				best[j][i] = seconds[j]
			}
		}
	}
	for j, name := range []string{"in", "out"} {
		fmt.Printf("%-42s %12.1f %12.1f %8.2f\n", fmt.Sprintf("COPY %s of %d MB, seconds", name, *megabytes), best[j][0], best[j][1], best[j][1]/best[j][0])
	}
	fmt.Printf("%-42s %25s\n", "checksums of what went in and came out", "equal, "+want[:12])
	return nil
}

// roundTrip copies a file into a table and out again. It returns the time of each, and
// the checksum of what came out.
func roundTrip(ctx context.Context, env []string, in, out string) (seconds [2]float64, sum string, err error) {
	env = append(env, "PGOPTIONS=-c client_min_messages=warning")
	for i, statements := range [][]string{
		{"create unlogged table if not exists copied (i int, t text)", "truncate copied", `\copy copied from '` + in + `'`},
		{`\copy copied to '` + out + `'`},
	} {
		args := []string{"-X", "-q"}
		for _, s := range statements {
			args = append(args, "-c", s)
		}
		began := time.Now()
		if _, err := output(ctx, env, "psql", args...); err != nil {
			return seconds, "", err
		}
		seconds[i] = time.Since(began).Seconds()
	}
	sum, err = checksum(ctx, out)
	return seconds, sum, err
}

func checksum(ctx context.Context, file string) (string, error) {
	out, err := exec.CommandContext(ctx, "sha256sum", file).Output()
	if err != nil {
		return "", err
	}
	sum, _, _ := strings.Cut(string(out), " ")
	return sum, nil
}
