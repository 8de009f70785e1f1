package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A program is one that imports a way and does nothing with it.
type program struct {
	name, dir string
	limit     string // the program that it is compared with

	binary    string
	size      float64 // bytes
	ms, bytes sample  // of all packages' initialization
	allocs    sample
}

const importPath = "github.com/azurepg/azurepg/bench/internal/imports/"

func programs() []*program {
	return []*program{
		{name: "pgx", dir: "pgx", limit: "pgx"},
		{name: "pgx and azidentity", dir: "pgxazidentity", limit: "pgx"},
		{name: viaAzurepg, dir: "azurepg", limit: "pgx"},
		{name: multiauth, dir: "multiauth", limit: "pgx"},
		{name: "lib/pq", dir: "libpq", limit: "lib/pq"},
		{name: viaPq, dir: "azurepgpq", limit: "lib/pq"},
	}
}

// measureImports builds small programs and looks at what the runtime says of their
// packages' initialization.
func measureImports(ctx context.Context, b *bench) error { return b.buildAndStart(ctx, programs()) }

func (b *bench) buildAndStart(ctx context.Context, all []*program) (err error) {
	dir, err := os.MkdirTemp("", "azurepg-bench-imports-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, p := range all {
		if err := p.build(ctx, dir, b.azure.before); err != nil {
			return err
		}
	}
	for range b.scale.importRounds {
		for _, p := range all {
			if err := p.start(ctx, b.azure.before); err != nil {
				return err
			}
		}
	}
	b.report.add(importTable(all))
	return nil
}

func (p *program) build(ctx context.Context, dir string, env []string) error {
	p.binary = filepath.Join(dir, p.dir)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", p.binary, importPath+p.dir)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", p.dir, err, bytes.TrimSpace(out))
	}
	info, err := os.Stat(p.binary)
	if err != nil {
		return err
	}
	p.size = float64(info.Size())
	return nil
}

// start runs the program, which ends at once, and adds up its packages' initialization.
func (p *program) start(ctx context.Context, env []string) error {
	cmd := exec.CommandContext(ctx, p.binary)
	cmd.Env = append(slices.Clone(env), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", p.dir, err)
	}
	ms, heap, n, err := sumInits(trace.String())
	if err != nil {
		return fmt.Errorf("%s: %w", p.dir, err)
	}
	p.ms, p.bytes, p.allocs = append(p.ms, ms), append(p.bytes, heap), append(p.allocs, n)
	return nil
}

// sumInits adds up lines as "init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs".
// Source: package runtime, GODEBUG=inittrace=1.
func sumInits(trace string) (ms, heap, allocs float64, err error) {
	for lines := bufio.NewScanner(strings.NewReader(trace)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 11 || f[0] != "init" {
			continue
		}
		for i, sum := range map[int]*float64{4: &ms, 7: &heap, 9: &allocs} {
			v, parseErr := strconv.ParseFloat(f[i], 64)
			err = errors.Join(err, parseErr)
			*sum += v
		}
	}
	if ms == 0 && err == nil {
		err = errors.New("the runtime said nothing of its initialization")
	}
	return ms, heap, allocs, err
}

func importTable(all []*program) *table {
	t := &table{
		title: "What the import costs at start-up",
		note:  "Initialization of all packages of a small program (median and the middle half, GODEBUG=inittrace=1), and the size of its binary.",
		head:  []string{"", "initialization", "", allocations, "bytes", "binary", "more than without tokens"},
	}
	for _, p := range all {
		more := "–"
		if p.name != p.limit {
			limit := all[slices.IndexFunc(all, func(o *program) bool { return o.name == p.limit })]
			more = fmt.Sprintf("%.1f MB", (p.size-limit.size)/1e6)
		}
		t.rows = append(t.rows, []string{p.name, milliseconds(p.ms.median()), p.ms.quartiles(milliseconds), p.allocs.whole(), p.bytes.whole(),
			fmt.Sprintf("%.1f MB", p.size/1e6), more})
	}
	return t
}
