package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

// A connectRow is a way, and what its connections cost.
type connectRow struct {
	way
	connector driver.Connector

	ms, allocs, bytes sample
}

// measureConnects opens one connection after the other, over the same TLS to the
// same server, and closes each.
func measureConnects(ctx context.Context, b *bench) error {
	id, err := b.azure.newIdentities()
	if err != nil {
		return err
	}
	rows, err := openRows(ctx, b.azure.ways(id))
	if err != nil {
		return err
	}
	const everySlow = 30 // rounds
	counted := func() bool {
		return moreAllocations(rows, viaAzurepg) <= mostMore && moreAllocations(rows, viaPq) <= mostMore
	}
	for round := 0; another(round, b.scale.connectRounds, counted); round++ {
		for _, i := range rand.Perm(len(rows)) {
			if rows[i].slow && round%everySlow != 0 {
				continue
			}
			if err := rows[i].measure(ctx); err != nil {
				return fmt.Errorf("%s: %w", rows[i].name, err)
			}
		}
	}
	b.report.add(connectTable(rows))
	aimConnects(b.report, rows)
	return nil
}

// openRows opens the ways, and one connection of each, which fills caches.
func openRows(ctx context.Context, ways []way) ([]*connectRow, error) {
	var rows []*connectRow
	for _, w := range ways {
		r := &connectRow{way: w}
		var err error
		if r.connector, err = w.open(); err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		if err := r.measure(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		r.ms, r.allocs, r.bytes = nil, nil, nil
		rows = append(rows, r)
	}
	return rows, nil
}

// measure opens a connection and closes it. What the closing costs is not counted.
func (r *connectRow) measure(ctx context.Context) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	conn, err := connect(ctx, r.connector)
	took := time.Since(begun)
	runtime.ReadMemStats(&after)
	if err != nil {
		return err
	}
	r.ms = append(r.ms, took.Seconds()*1000)
	r.allocs = append(r.allocs, float64(after.Mallocs-before.Mallocs))
	r.bytes = append(r.bytes, float64(after.TotalAlloc-before.TotalAlloc))
	return conn.Close()
}

// find returns the row of that name, or nil.
func find(rows []*connectRow, name string) *connectRow {
	for _, r := range rows {
		if r.name == name {
			return r
		}
	}
	return nil
}

func connectTable(rows []*connectRow) *table {
	t := &table{
		title: "One new connection, TLS and login",
		note: "Median and the middle half; ratio, round by round, to the first row, or for lib/pq to its own, with the 95 % interval of the median. " +
			"Allocations are the client's, medians. az was a fake of 0.5 s; the other token requests went to loopback.",
		head: []string{"", "time", "", "ratio", allocations, "bytes"},
	}
	for _, r := range rows {
		ratio := r.ms.over(find(rows, r.limit).ms).ratio()
		if r.slow {
			ratio = fmt.Sprintf("%.0f", r.ms.median()/find(rows, r.limit).ms.median()) // it had fewer rounds
		}
		t.rows = append(t.rows, []string{r.name, milliseconds(r.ms.median()), r.ms.quartiles(milliseconds), ratio, r.allocs.whole(), r.bytes.whole()})
	}
	return t
}

const (
	allocations = "allocations"
	mostMore    = 10 // allocations of a connect, than the limit
)

// moreAllocations is how many the way of that name has more than its limit, each at its
// best: what else goes on in the process only adds.
func moreAllocations(rows []*connectRow, name string) float64 {
	ours := find(rows, name)
	return ours.allocs.least() - find(rows, ours.limit).allocs.least()
}

func aimConnects(to *report, rows []*connectRow) {
	for _, c := range []struct{ ours, limit, noise string }{{viaAzurepg, pgxLimit, pgxAgain}, {viaPq, pqLimit, pqAgain}} {
		ours, limit, noise := find(rows, c.ours), find(rows, c.limit), find(rows, c.noise)
		more := moreAllocations(rows, c.ours)
		to.hold("new connection, "+c.ours+": allocations more than the limit", fmt.Sprint("at most ", mostMore), fmt.Sprintf("%.0f", more), more <= mostMore)
		ratio, same := ours.ms.over(limit.ms), noise.ms.over(limit.ms)
		low, _ := ratio.interval()
		_, high := same.interval()
		to.aim("new connection, "+c.ours+": time over the limit", "at most 1.10, and within the noise of "+same.ratio(), ratio.ratio(),
			ratio.median() <= 1.10 && low <= high)
	}
}
