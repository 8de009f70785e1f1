package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"
)

// coldLatency is how long the token service takes to answer in the section cold.
// Entra's answers are of that order.
const coldLatency = 100 * time.Millisecond

// coldLimit bounds one crowd: what is not in by then has failed.
const coldLimit = 30 * time.Second

// A coldRow is a way, and how crowds of connects fared with nothing cached.
type coldRow struct {
	name     string
	seconds  map[int]sample // by the size of the crowd
	requests map[int]sample
	failed   map[int]int
}

// measureCold opens many connections at once, with nothing cached.
func measureCold(ctx context.Context, b *bench) (err error) {
	if err := b.azure.make(Trouble{Delay: coldLatency}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.azure.make(Trouble{})) }()
	var rows []*coldRow
	for round := range b.scale.coldRounds {
		for _, n := range b.scale.crowds {
			id, err := b.azure.newIdentities()
			if err != nil {
				return err
			}
			for i, w := range b.azure.ways(id) {
				if i == len(rows) {
					rows = append(rows, &coldRow{name: w.name, seconds: map[int]sample{}, requests: map[int]sample{}, failed: map[int]int{}})
				}
				const small = 32
				if round > 0 && (n > small || w.slow) || n > small && w.slow {
					continue // once is enough, and half a second each would take minutes
				}
				if err := rows[i].measure(ctx, b.azure, w, n); err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
			}
		}
	}
	b.report.add(coldTable(rows, b.scale.crowds))
	n := b.scale.crowds[len(b.scale.crowds)-1]
	for _, r := range rows {
		if r.name == viaAzurepg || r.name == viaPq {
			b.report.hold(fmt.Sprintf("%d cold connects, %s: token requests, failures", n, r.name), "1, 0",
				fmt.Sprintf("%.0f, %d", r.requests[n].max(), r.failed[n]), r.requests[n].max() == 1 && r.failed[n] == 0)
		}
	}
	return nil
}

// measure opens w anew and n connections of it at once.
func (r *coldRow) measure(ctx context.Context, a *azure, w way, n int) error {
	ctx, cancel := context.WithTimeout(ctx, coldLimit)
	defer cancel()
	var took time.Duration
	requests, err := a.requests(func() error {
		begun := time.Now()
		connector, err := w.open()
		if err != nil {
			return err
		}
		r.failed[n] += connectAtOnce(ctx, connector, n)
		took = time.Since(begun)
		return nil
	})
	r.seconds[n] = append(r.seconds[n], took.Seconds())
	r.requests[n] = append(r.requests[n], float64(requests))
	return err
}

// connectAtOnce opens n connections at once, waits until the last is open, closes them,
// and returns how many failed.
func connectAtOnce(ctx context.Context, c driver.Connector, n int) (failed int) {
	conns := make([]driver.Conn, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { conns[i], _ = connect(ctx, c) })
	}
	done.Wait()
	for _, conn := range conns {
		if conn == nil {
			failed++
			continue
		}
		_ = conn.Close()
	}
	return failed
}

func coldTable(rows []*coldRow, crowds []int) *table {
	t := &table{
		title: "Many connections at once, from cold",
		note: fmt.Sprintf("Time until the last is open (median), and token requests (most). The token service took %v to answer. "+
			"Azure's endpoint of managed identities allows 20 requests a second; this one did not count.", coldLatency),
		head: []string{""},
	}
	for _, n := range crowds {
		t.head = append(t.head, fmt.Sprint(n, " connections"), "token requests")
	}
	for _, r := range rows {
		cells := []string{r.name}
		for _, n := range crowds {
			if r.seconds[n] == nil {
				cells = append(cells, "–", "–")
				continue
			}
			cell := milliseconds(r.seconds[n].median() * 1000)
			if r.failed[n] > 0 {
				cell += fmt.Sprintf(", %d failed", r.failed[n])
			}
			cells = append(cells, cell, fmt.Sprintf("%.0f", r.requests[n].max()))
		}
		t.rows = append(t.rows, cells)
	}
	return t
}
