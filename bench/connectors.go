package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"runtime"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/pq"
)

// A holder makes connectors of one identity, each of which gets a token.
type holder struct {
	name string
	make func(context.Context, identities) (driver.Connector, error)

	requests map[int]int     // by how many connectors
	bytes    map[int]float64 // of heap, for each connector
}

// measureConnectors counts what many connectors of one identity cost, as programs have
// them that open a pool for each database or tenant.
func measureConnectors(ctx context.Context, b *bench) error {
	holders := b.azure.holders()
	for _, n := range b.scale.connectors {
		for _, h := range holders {
			if err := h.measure(ctx, b.azure, n); err != nil {
				return fmt.Errorf("%s: %w", h.name, err)
			}
		}
	}
	b.report.add(holderTable(holders, b.scale.connectors))
	n := b.scale.connectors[len(b.scale.connectors)-1]
	requests := holders[0].requests[n]
	b.report.hold(fmt.Sprintf("%d connectors of one identity: token requests", n), "1", fmt.Sprint(requests), requests == 1)
	return nil
}

func (a *azure) holders() []*holder {
	withLogin := func(ctx context.Context, c *azurepg.Connector, err error) (driver.Connector, error) {
		if err == nil {
			_, err = c.Login(ctx)
		}
		return c, err
	}
	rows := []*holder{
		{name: viaAzurepg, make: func(ctx context.Context, id identities) (driver.Connector, error) {
			c, err := a.azurepg(id, nil)
			return withLogin(ctx, c, err)
		}},
		{name: viaPq, make: func(ctx context.Context, id identities) (driver.Connector, error) {
			c, err := a.azurepg(id, pq.Base)
			return withLogin(ctx, c, err)
		}},
		{name: "pgx's hook, a credential of azidentity for each", make: func(ctx context.Context, id identities) (driver.Connector, error) {
			cred, err := secretOf(id.app, nil)()
			if err != nil {
				return nil, err
			}
			if _, err := getToken(ctx, cred); err != nil {
				return nil, err
			}
			return a.hooked(id.app.Name, func() (azcore.TokenCredential, error) { return cred, nil })()
		}},
		{name: multiauth, make: func(_ context.Context, id identities) (driver.Connector, error) {
			return a.multiauth(id.app.Name, secretOf(id.app, nil))
		}},
	}
	for _, h := range rows {
		h.requests, h.bytes = map[int]int{}, map[int]float64{}
	}
	return rows
}

// measure makes n connectors and holds them.
func (h *holder) measure(ctx context.Context, a *azure, n int) error {
	id, err := a.newIdentities()
	if err != nil {
		return err
	}
	held := make([]driver.Connector, n)
	before := heapInUse()
	h.requests[n], err = a.requests(func() (err error) {
		for i := range held {
			if held[i], err = h.make(ctx, id); err != nil {
				return err
			}
		}
		return nil
	})
	h.bytes[n] = max(0, float64(heapInUse())-float64(before)) / float64(n)
	runtime.KeepAlive(held)
	return err
}

// heapInUse is the heap after two collections: the first may leave what has a finalizer.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func holderTable(rows []*holder, numbers []int) *table {
	t := &table{
		title: "Connectors of one identity",
		note:  "Token requests of so many connectors, each of which has got a token; and the heap that each holds.",
		head:  []string{"token requests of"},
	}
	last := numbers[len(numbers)-1]
	for _, n := range numbers {
		t.head = append(t.head, fmt.Sprint(n))
	}
	t.head = append(t.head, fmt.Sprintf("heap of each of %d", last))
	for _, h := range rows {
		cells := []string{h.name}
		for _, n := range numbers {
			cells = append(cells, fmt.Sprint(h.requests[n]))
		}
		t.rows = append(t.rows, append(cells, fmt.Sprintf("%.1f kB", h.bytes[last]/1e3)))
	}
	return t
}
