package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/XSAM/otelsql"
)

// traced is pgx's limit in otelsql: what wrapping each connection costs.
const traced = "pgx in otelsql (wrapped)"

// A queryRow is a pool of one connection.
type queryRow struct {
	name, limit string
	open        func() *sql.DB
	db          *sql.DB
	insert      *sql.Stmt

	ns, allocs map[string]sample // of one query, by its name
}

// A query is what is done on a pooled connection, and how often in a round.
type query struct {
	name  string
	times int
	do    func(context.Context, *queryRow) error
}

var queries = []query{
	{"select 1", 20, func(ctx context.Context, r *queryRow) error {
		var one int
		return r.db.QueryRowContext(ctx, "select 1").Scan(&one)
	}},
	{"1,000 rows", 3, selectThousand},
	{"prepared insert", 20, func(ctx context.Context, r *queryRow) error {
		_, err := r.insert.ExecContext(ctx, 1, "a lamp")
		return err
	}},
}

func selectThousand(ctx context.Context, r *queryRow) (err error) {
	rows, err := r.db.QueryContext(ctx, "select n, 'article ' || n from generate_series(1, 1000) n")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var (
		n    int
		name string
	)
	for rows.Next() {
		if err := rows.Scan(&n, &name); err != nil {
			return err
		}
	}
	return rows.Err()
}

// measureQueries measures what queries cost on connections that are open.
func measureQueries(ctx context.Context, b *bench) error {
	rows, err := b.azure.queryRows(ctx)
	if err != nil {
		return err
	}
	const roundsOfAConnection = 10 // two of one kind can differ for as long as they live
	counted := func() bool { return agree(rows, viaAzurepg) && agree(rows, viaPq) }
	for round := 0; another(round, b.scale.queryRounds, counted); round++ {
		for _, q := range queries {
			for _, i := range rand.Perm(len(rows)) {
				if err := rows[i].measure(ctx, q); err != nil {
					return fmt.Errorf("%s: %s: %w", rows[i].name, q.name, err)
				}
			}
		}
		for _, r := range rows {
			if round%roundsOfAConnection != roundsOfAConnection-1 {
				continue
			}
			if err := errors.Join(r.db.Close(), r.prepare(ctx)); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	b.report.add(queryTable(rows))
	aimQueries(b.report, rows)
	for _, r := range rows {
		err = errors.Join(err, r.db.Close())
	}
	return err
}

// queryRows opens the pools, with all statements prepared.
func (a *azure) queryRows(ctx context.Context) (rows []*queryRow, err error) {
	id, err := a.newIdentities()
	if err != nil {
		return nil, err
	}
	if err := a.exec("create unlogged table lamps (n int, name text); grant insert on lamps to " + id.app.Name); err != nil {
		return nil, err
	}
	for _, w := range a.ways(id) {
		switch w.name {
		case pgxLimit, pgxAgain, viaAzurepg, pqLimit, pqAgain, viaPq:
		default:
			continue
		}
		c, err := w.open()
		if err != nil {
			return nil, err
		}
		rows = append(rows, &queryRow{name: w.name, limit: w.limit, open: func() *sql.DB { return sql.OpenDB(c) }})
		if w.name == pgxLimit {
			rows = append(rows, &queryRow{name: traced, limit: w.limit, open: func() *sql.DB { return otelsql.OpenDB(c) }})
		}
	}
	for _, r := range rows {
		r.ns, r.allocs = map[string]sample{}, map[string]sample{}
		if err := r.prepare(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return rows, nil
}

// prepare opens the connection and does each query once, which prepares the statements.
func (r *queryRow) prepare(ctx context.Context) (err error) {
	r.db = r.open()
	r.db.SetMaxOpenConns(1)
	if r.insert, err = r.db.PrepareContext(ctx, "insert into lamps values ($1, $2)"); err != nil {
		return err
	}
	for _, q := range queries {
		err = errors.Join(err, q.do(ctx, r))
	}
	return err
}

func (r *queryRow) measure(ctx context.Context, q query) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	for range q.times {
		if err := q.do(ctx, r); err != nil {
			return err
		}
	}
	took := time.Since(begun)
	runtime.ReadMemStats(&after)
	r.ns[q.name] = append(r.ns[q.name], float64(took)/float64(q.times))
	r.allocs[q.name] = append(r.allocs[q.name], float64(after.Mallocs-before.Mallocs)/float64(q.times))
	return nil
}

// fewest are the allocations of q without those that a collection between has caused, or
// an answer that came in more pieces. Some of its times found in a pool what they had to
// allocate else.
func (r *queryRow) fewest(q query) float64 { return r.allocs[q.name].quantile(0) }

// whole writes an average of allocations as the number that one query has at most.
func whole(allocs float64) string { return fmt.Sprintf("%.0f", math.Ceil(allocs)) }

func queryTable(rows []*queryRow) *table {
	t := &table{
		title: "Queries on pooled connections",
		note:  "Medians; ratio, round by round, to the first row, or for lib/pq to its own, with the 95 % interval of the median; fewest allocations.",
		head:  []string{""},
	}
	for _, q := range queries {
		t.head = append(t.head, q.name, "ratio", allocations)
	}
	for _, r := range rows {
		cells := []string{r.name}
		for _, q := range queries {
			limit := findQuery(rows, r.limit)
			cells = append(cells, microseconds(r.ns[q.name].median()), r.ns[q.name].over(limit.ns[q.name]).ratio(), whole(r.fewest(q)))
		}
		t.rows = append(t.rows, cells)
	}
	return t
}

func findQuery(rows []*queryRow, name string) *queryRow {
	for _, r := range rows {
		if r.name == name {
			return r
		}
	}
	return nil
}

// agree reports whether the way of that name has been seen to allocate as little as its
// limit for each query.
func agree(rows []*queryRow, name string) bool {
	ours := findQuery(rows, name)
	limit := findQuery(rows, ours.limit)
	for _, q := range queries {
		if ours.allocs[q.name].least()-limit.allocs[q.name].least() >= 1 { // some rounds have a few of something else
			return false
		}
	}
	return true
}

func aimQueries(to *report, rows []*queryRow) {
	for _, name := range []string{viaAzurepg, viaPq} {
		ours := findQuery(rows, name)
		limit := findQuery(rows, ours.limit)
		got := ""
		for i, q := range queries {
			if i > 0 {
				got += ", "
			}
			got += whole(ours.allocs[q.name].least()) + " of " + whole(limit.allocs[q.name].least())
		}
		to.hold("queries, "+name+": "+allocations, "those of the limit", got, agree(rows, name))
	}
}
