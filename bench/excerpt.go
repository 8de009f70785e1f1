package main

import "slices"

// A cell is where the README's table takes a figure from: a column of a table of the
// report. The row is the way's, or another name that the table has for it.
type cell struct {
	head, title string
	column      int
	alias       map[string]string
}

// cachedToken are the names that ways have in the table of tokens.
var cachedToken = map[string]string{
	bySecret:  "azidentity's GetToken: client secret",
	byManaged: "azidentity's GetToken: managed identity",
	byCLI:     "azidentity's GetToken: Azure CLI",
}

var excerptCells = []cell{
	{head: "a warm token", title: "One token from a warm cache", column: 1, alias: cachedToken},
	{head: "allocations", title: "One token from a warm cache", column: 6, alias: cachedToken},
	{head: "a connect, against pgx or lib/pq alone", title: "One new connection, TLS and login", column: 3},
	{head: "allocations", title: "One new connection, TLS and login", column: 4},
	{head: "token requests of 1,000 at once", title: "Many connections at once, from cold", column: 4},
	{head: "failed from the outage on", title: "Connects while the token service is slow, and down", column: 5},
}

// excerpt is the table for the README: one line for each way, with what matters most.
func (r *report) excerpt() *table {
	t := &table{head: []string{""}}
	for _, c := range excerptCells {
		t.head = append(t.head, c.head)
	}
	for _, way := range []string{pgxLimit, viaAzurepg, pqLimit, viaPq, bySecret, byManaged, byCLI, multiauth, anew} {
		row := []string{way}
		for _, c := range excerptCells {
			row = append(row, r.figure(c, way))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// figure is what stands in a cell, or a dash.
func (r *report) figure(c cell, way string) string {
	if name, ok := c.alias[way]; ok {
		way = name
	}
	for _, t := range r.tables {
		if t.title != c.title {
			continue
		}
		if i := slices.IndexFunc(t.rows, func(row []string) bool { return row[0] == way }); i >= 0 {
			return t.rows[i][c.column]
		}
	}
	return "–"
}
