// Proxybench measures "azurepg proxy" beside a direct connection: pgbench with open
// connections and with a connection for each transaction, a COPY of 200 MB in and out
// whose checksums must agree, and the proxy's memory for each session. It runs against
// azurepgtest, whose TLS front both ways go through, on this machine alone: the ratios
// count, not the numbers.
//
//	make proxy-bench
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/azurepg/azurepg/azurepgtest"
)

var (
	transactions = flag.Int("transactions", 4000, "of pgbench -S, for each of 4 clients")
	connects     = flag.Int("connects", 100, "of pgbench -S -C, for each of 4 clients")
	megabytes    = flag.Int("copy", 200, "MB to copy")
	sessions     = flag.Int("sessions", 150, "to hold open, for the memory")
	rounds       = flag.Int("rounds", 3, "of each measurement, direct and through the proxy in turn; the best counts")
)

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		log.Fatal("proxybench: ", err)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "proxybench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	azure, err := azurepgtest.New(nil)
	if err != nil {
		return err
	}
	defer func() { _ = azure.Close() }()
	app := azure.AddServicePrincipal("app")
	if err := azure.Postgres.CreateDatabase(ctx, "bench"); err != nil {
		return err
	}
	p, err := start(ctx, azure, app, dir)
	if err != nil {
		return err
	}
	defer p.stop()
	direct := append(azure.Env(), "PGUSER=app", "PGDATABASE=bench", "PGPASSWORD="+azure.Entra.Mint(app, nil))
	through := []string{"PGHOST=" + filepath.Dir(p.socket), "PGUSER=app", "PGDATABASE=bench"}
	if _, err := output(ctx, direct, "pgbench", "-i", "-q", "-s", "10"); err != nil {
		return err
	}
	fmt.Printf("%-42s %12s %12s %8s\n", "", "direct", "proxy", "ratio")
	if err := p.memory(ctx); err != nil {
		return err
	}
	if err := p.total("with them"); err != nil {
		return err
	}
	if err := throughput(ctx, direct, through); err != nil {
		return err
	}
	if err := copies(ctx, direct, through, dir); err != nil {
		return err
	}
	return p.total("after all that")
}

// throughput prints transactions in a second.
func throughput(ctx context.Context, direct, through []string) error {
	for _, row := range []struct {
		name string
		args []string
	}{
		{"pgbench -S, 4 clients, tps", []string{"-S", "-c", "4", "-j", "2", "-t", strconv.Itoa(*transactions)}},
		{"pgbench -S -M prepared, 4 clients, tps", []string{"-S", "-M", "prepared", "-c", "4", "-j", "2", "-t", strconv.Itoa(*transactions)}},
		{"pgbench -S -C, 4 clients, tps", []string{"-S", "-C", "-c", "4", "-j", "2", "-t", strconv.Itoa(*connects)}},
	} {
		var best [2]float64
		for n := range 2 * *rounds {
			i := n % 2
			tps, err := pgbench(ctx, [][]string{direct, through}[i], row.args)
			if err != nil {
				return err
			}
			best[i] = max(best[i], tps)
		}
		fmt.Printf("%-42s %12.0f %12.0f %8.2f\n", row.name, best[0], best[1], best[1]/best[0])
	}
	return nil
}

func pgbench(ctx context.Context, env, args []string) (tps float64, err error) {
	out, err := output(ctx, env, "pgbench", append(args, "-n")...)
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(out, "\ntps = ")
	if _, err := fmt.Sscan(after, &tps); err != nil {
		return 0, fmt.Errorf("pgbench says no tps: %q", out)
	}
	return tps, nil
}

// output runs a program and returns what it prints. Its environment holds a token: it
// is not in errors.
func output(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %q: %w: %s", name, args, err, complaints.String())
	}
	return out.String(), nil
}
