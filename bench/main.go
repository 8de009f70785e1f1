// Bench measures azurepg next to what a Go user would otherwise do, in one run, and
// prints what it found as tables:
//
//	go run .                    everything, in about six minutes
//	go run . -quick             a look at everything, in about one
//	go run . -only connect      one section: tokens, connect, queries, cold, outage, connectors, imports
//	go run . -md -svg FILE      Markdown, and the plot of the section outage
//	go run . -write ../docs     what the repository holds: docs/bench.md, docs/bench.svg, and the README's table
//
// What is compared takes turns, round by round, so that a machine that becomes slower
// does so for all: the ratios count, and rows of one thing against itself show how far
// they can be trusted. Azure (a fake of Entra, a real PostgreSQL) runs in a process of its
// own, so that allocations and memory are those of the client. It runs on loopback, where
// a token request takes a few milliseconds; Entra's take a hundred and more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	if len(os.Args) == 2 && os.Args[1] == serverCommand {
		if err := serve(os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	var o options
	flag.BoolVar(&o.markdown, "md", false, "print Markdown")
	flag.StringVar(&o.svg, "svg", "", "draw the section outage to this `file`")
	flag.StringVar(&o.write, "write", "", "write bench.md and bench.svg to this `directory`, and the table of the README above it")
	flag.StringVar(&o.only, "only", "", "measure this `section` alone: "+strings.Join(sectionNames(), ", "))
	quick := flag.Bool("quick", false, "a look at everything: fewer rounds, and an outage of seconds")
	flag.Parse()
	o.scale = full
	if *quick {
		o.scale = quickly
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	markdown         bool
	svg, write, only string
	scale            scale
}

// scale is how much is measured.
type scale struct {
	tokenRounds, connectRounds, queryRounds, coldRounds, importRounds int
	crowds, connectors                                                []int
	outage                                                            script
}

var (
	full = scale{
		tokenRounds: 41, connectRounds: 300, queryRounds: 200, coldRounds: 5, importRounds: 15,
		crowds: []int{32, 1000}, connectors: []int{1, 10, 100, 1000}, outage: fullScript,
	}
	quickly = scale{
		tokenRounds: 9, connectRounds: 30, queryRounds: 20, coldRounds: 1, importRounds: 3,
		crowds: []int{32, 200}, connectors: []int{1, 10, 100}, outage: quickScript,
	}
)

// A section measures one thing of all ways and adds what it found to the report.
type section struct {
	name    string
	measure func(context.Context, *bench) error
}

var sections = []section{
	{"tokens", measureTokens},
	{"connect", measureConnects},
	{"queries", measureQueries},
	{"cold", measureCold},
	{"outage", measureOutage},
	{"connectors", measureConnectors},
	{"imports", measureImports},
}

func sectionNames() (names []string) {
	for _, s := range sections {
		names = append(names, s.name)
	}
	return names
}

// bench is one run.
type bench struct {
	azure  *azure
	scale  scale
	report *report
}

func run(ctx context.Context, out io.Writer, o options) (err error) {
	if o.only != "" && !slices.Contains(sectionNames(), o.only) {
		return fmt.Errorf("there is no section %q: -only takes one of %s", o.only, strings.Join(sectionNames(), ", "))
	}
	const azTakes = 500 * time.Millisecond // a real one takes that and more
	azure, err := startAzure(azTakes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, azure.close()) }()
	b := &bench{azure: azure, scale: o.scale, report: newReport(azure.PostgresVersion)}
	for _, s := range sections {
		if o.only != "" && o.only != s.name {
			continue
		}
		log.Print(s.name)
		if err := s.measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return b.report.publish(out, o)
}
