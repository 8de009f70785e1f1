package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/azurepg/azurepg"
)

// A script is what happens to the token service while connections are opened at a steady
// rate. Each way is given tokens of such a life that it wants a new one gap after it got
// the last: the answers' expires_in says so, the tokens themselves are good for an hour.
type script struct {
	every  time.Duration // a connect of azurepg, and of pgx as the measure of the machine
	others time.Duration // a connect of each other way: what they have queued up must not slow those two
	gap    time.Duration // from a token to its renewal
	slow   time.Duration // the service takes to answer at renewals
	outage time.Duration
	after  time.Duration // the outage
	limit  time.Duration // for one connect
}

var (
	fullScript = script{
		every: 50 * time.Millisecond, others: 500 * time.Millisecond, gap: 12 * time.Second, slow: 5 * time.Second,
		outage: time.Minute, after: 20 * time.Second, limit: 10 * time.Second,
	}
	quickScript = script{
		every: 50 * time.Millisecond, others: 500 * time.Millisecond, gap: 3 * time.Second, slow: 2 * time.Second,
		outage: 10 * time.Second, after: 20 * time.Second, limit: 10 * time.Second,
	}
)

// renewals are when the two renewals are due, both slow.
func (s script) renewals() [2]time.Duration {
	return [2]time.Duration{s.gap, 2*s.gap + s.slow}
}

// down is when the outage begins: a while before the third renewal is due.
func (s script) down() time.Duration { return 2*(s.gap+s.slow) + s.gap*2/3 }
func (s script) up() time.Duration   { return s.down() + s.outage }
func (s script) end() time.Duration  { return s.up() + s.after }

// slowness is the time around a renewal in which the service is slow.
func (s script) slowness(renewal time.Duration) (from, to time.Duration) {
	const margin = time.Second
	return renewal - margin, renewal + s.slow + margin
}

// lives returns the lives of the tokens for a client that renews them at their end less
// ahead, or with ahead zero at half of their life, as azurepg does with ones this short.
// The third one outlives the outage, however the client counts.
func (s script) lives(ahead time.Duration) []time.Duration {
	if ahead > 0 {
		return []time.Duration{s.gap + ahead, s.gap + ahead, max(s.gap+ahead, s.up()+s.after/2-2*(s.gap+s.slow)), time.Hour}
	}
	return []time.Duration{2 * s.gap, 2 * s.gap, s.up() + s.after/2 - 2*(s.gap+s.slow), time.Hour}
}

// A series is a way over the time of a script.
type series struct {
	name      string
	every     time.Duration
	connector driver.Connector
	lives     *lives // nil: no tokens

	mu     sync.Mutex // guards points
	points []point
}

// A point is one connect, by when it was due.
type point struct {
	at, took time.Duration
	err      error
}

// outage is what came of a script.
type outage struct {
	script script
	series []*series
}

// measureOutage opens connections at a steady rate while the token service is slow twice
// and then down.
func measureOutage(ctx context.Context, b *bench) error {
	all, err := b.azure.series(b.scale.outage)
	if err != nil {
		return err
	}
	return b.endure(ctx, all)
}

// endure plays the script for all and reports it.
func (b *bench) endure(ctx context.Context, all []*series) error {
	o := &outage{b.scale.outage, all}
	if err := b.azure.play(ctx, o.script, time.Now(), all); err != nil {
		return err
	}
	b.report.outage = o
	b.report.add(o.table())
	o.aim(b.report)
	return nil
}

// series are the ways that this is about. Managed and workload identities differ from a
// secret in the request alone.
func (a *azure) series(s script) ([]*series, error) {
	const azidentityAhead, multiauthAhead = 5 * time.Minute, time.Minute
	id, err := a.newIdentities()
	if err != nil {
		return nil, err
	}
	var all []*series
	add := func(name string, every time.Duration, l *lives, open func() (driver.Connector, error)) {
		if err != nil {
			return
		}
		var c driver.Connector
		if c, err = open(); err == nil {
			all = append(all, &series{name: name, every: every, connector: c, lives: l})
		}
	}
	add(pgxLimit, s.every, nil, func() (driver.Connector, error) { return a.pgxFixed(id) })
	ours, hook, other, each := &lives{of: s.lives(0)}, &lives{of: s.lives(azidentityAhead)}, &lives{of: s.lives(multiauthAhead)}, &lives{of: []time.Duration{time.Hour}}
	add(viaAzurepg, s.every, ours, func() (driver.Connector, error) { return a.azurepgWith(id, secretOf(id.app, ours)) })
	add(bySecret, s.others, hook, a.hooked(id.app.Name, secretOf(id.app, hook)))
	add(multiauth, s.others, other, func() (driver.Connector, error) { return a.multiauth(id.app.Name, secretOf(id.app, other)) })
	add(anew, s.others, each, func() (driver.Connector, error) { return a.anew(id.app.Name, secretOf(id.app, each)) })
	return all, err
}

// azurepgWith is azurepg with a credential of azidentity's from code.
func (a *azure) azurepgWith(id identities, credential newCredential) (driver.Connector, error) {
	cfg, err := azurepg.ParseDSN(a.azurepgURL(id))
	if err != nil {
		return nil, err
	}
	cfg.AzureCredential, cfg.TenantID, cfg.ClientID, cfg.ClientSecret = "", "", "", ""
	if cfg.Credential, err = credential(); err != nil {
		return nil, err
	}
	return azurepg.NewConnector(cfg)
}

// play follows the script from begun on.
func (a *azure) play(ctx context.Context, s script, begun time.Time, all []*series) error {
	var connects sync.WaitGroup
	defer connects.Wait() // each ends within the limit, or soon after
	act := a.acts(s)
	for at := time.Duration(0); at < s.end(); at += s.every {
		select {
		case <-time.After(time.Until(begun.Add(at))):
		case <-ctx.Done():
			return ctx.Err()
		}
		for len(act) > 0 && at >= act[0].at && tokens(all) >= act[0].tokens {
			if err := a.make(act[0].trouble); err != nil {
				return err
			}
			act = act[1:]
		}
		for i, one := range all {
			if at%one.every != 0 {
				continue
			}
			// Not all in the same moment, and each counted from when it was due.
			due := at + s.every*time.Duration(i)/time.Duration(len(all))
			connects.Go(func() { one.connect(ctx, begun, due, s.limit) })
		}
	}
	if len(act) > 0 {
		return fmt.Errorf("the script ended with %d tokens, before all had happened to the token service", tokens(all))
	}
	return nil
}

// An act is what the token service does from then on.
type act struct {
	at      time.Duration
	tokens  int // that azurepg has had by then; on a busy machine the service waits for it
	trouble Trouble
}

// tokens is how many azurepg has had.
func tokens(all []*series) int {
	for _, one := range all {
		if one.name == viaAzurepg {
			return one.lives.answered()
		}
	}
	return 0
}

func (a *azure) acts(s script) []act {
	var acts []act
	for _, r := range s.renewals() {
		from, to := s.slowness(r)
		acts = append(acts, act{at: from, trouble: Trouble{Delay: s.slow}}, act{at: to})
	}
	const first, renewed = 1, 2
	return append(acts, act{at: s.down(), tokens: first + renewed, trouble: Trouble{Status: http.StatusServiceUnavailable}}, act{at: s.up()})
}

// connect waits until due and opens a connection, within limit.
func (s *series) connect(ctx context.Context, begun time.Time, due, limit time.Duration) {
	time.Sleep(time.Until(begun.Add(due)))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := connect(ctx, s.connector)
	took := time.Since(begun.Add(due))
	if err == nil {
		err = conn.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.points = append(s.points, point{due, took, err})
}

// between returns the milliseconds of the connects due in that time, and how many failed.
func (s *series) between(from, to time.Duration) (ms sample, failed int) {
	for _, p := range s.points {
		switch {
		case p.at < from || p.at >= to:
		case p.err != nil:
			failed++
		default:
			ms = append(ms, p.took.Seconds()*1000)
		}
	}
	return ms, failed
}

// calm, renewing and dark are the connects before the first renewal, while the service
// takes its time over renewals, and in the outage with what follows.
func (o *outage) calm(s *series) (sample, int) {
	from, _ := o.script.slowness(o.script.renewals()[0])
	return s.between(0, from)
}

func (o *outage) renewing(s *series) (ms sample, failed int) {
	for _, r := range o.script.renewals() {
		one, f := s.between(o.script.slowness(r))
		ms, failed = append(ms, one...), failed+f
	}
	return ms, failed
}

func (o *outage) dark(s *series) (sample, int) { return s.between(o.script.down(), o.script.end()) }

func (o *outage) table() *table {
	s := o.script
	t := &table{
		title: "Connects while the token service is slow, and down",
		note: fmt.Sprintf("Median / p99 / longest of %.0f connects a second of the first two and %.0f of each other, counted from when they were due. "+
			"Two renewals of the token take %v each; then the service answers 503 for %v, in which another renewal is due. Every token is good until after that. "+
			"A connect is given up after %v.", perSecond(s.every), perSecond(s.others), s.slow, s.outage, s.limit),
		head: []string{"", "calm", "while renewing", "failed", "from the outage on", "failed", "token requests"},
	}
	cell := func(ms sample) string {
		if len(ms) == 0 {
			return "–"
		}
		return milliseconds(ms.median()) + " / " + milliseconds(ms.quantile(0.99)) + " / " + milliseconds(ms.max())
	}
	for _, one := range o.series {
		calm, _ := o.calm(one)
		renewing, failed1 := o.renewing(one)
		dark, failed2 := o.dark(one)
		requests := "–"
		if one.lives != nil {
			requests = fmt.Sprint(one.lives.asked())
		}
		t.rows = append(t.rows, []string{one.name, cell(calm),
			cell(renewing), fmt.Sprintf("%d of %d", failed1, failed1+len(renewing)),
			cell(dark), fmt.Sprintf("%d of %d", failed2, failed2+len(dark)), requests})
	}
	return t
}

func perSecond(every time.Duration) float64 { return float64(time.Second) / float64(every) }

// aim compares with calm; what the machine did meanwhile shows in the limit.
func (o *outage) aim(to *report) {
	limit, ours := o.series[0], o.series[1]
	for _, c := range []struct {
		name string
		of   func(*series) (sample, int)
	}{{"slow renewals", o.renewing}, {"an outage of " + o.script.outage.String(), o.dark}} {
		overCalm := func(s *series) float64 {
			ms, _ := c.of(s)
			calm, _ := o.calm(s)
			return ms.quantile(0.99) / calm.quantile(0.99)
		}
		ratio, same := overCalm(ours), overCalm(limit)
		to.aim("p99 of connects in "+c.name+" over calm", fmt.Sprintf("at most 2, or twice that of the limit, %.2f", same), fmt.Sprintf("%.2f", ratio), ratio <= 2*max(1, same))
	}
	_, failed := ours.between(0, o.script.end())
	to.hold("failed connects in slow renewals and outage", "0", fmt.Sprint(failed), failed == 0)
}
