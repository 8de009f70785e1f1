package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/azurepg/azurepg"
)

// resolver is the part of net.Resolver that is used here.
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupCNAME(ctx context.Context, host string) (string, error)
}

// target is an address of a host.
type target struct {
	host azurepg.Host // with Addr set
	err  error        // why it was not reached, by TCP or TLS
	tls  *tls.ConnectionState
}

const defaultPort = 5432

func hostPort(h azurepg.Host, name string) string {
	port := int(h.Port)
	if port == 0 {
		port = defaultPort
	}
	return net.JoinHostPort(name, strconv.Itoa(port))
}

// of is what a finding about t is of.
func (t *target) of() string {
	address := hostPort(t.host, t.host.Addr)
	if t.host.Addr == t.host.Name {
		return address
	}
	return t.host.Name + " at " + address
}

// limited is ctx with the time that one attempt at one host has.
func (x *examination) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	const byDefault = 30 * time.Second
	switch limit := x.cfg.ConnectTimeout; {
	case limit < 0:
		return context.WithCancel(ctx)
	case limit == 0:
		return context.WithTimeout(ctx, byDefault)
	default:
		return context.WithTimeout(ctx, limit)
	}
}

// resolve finds the addresses of each host.
func (x *examination) resolve(ctx context.Context, s *Step) error {
	ctx, cancel := x.limited(ctx)
	defer cancel()
	found := map[string][]netip.Addr{}
	var errs []error
	for _, h := range x.cfg.Hosts {
		if h.Addr != "" {
			s.add("hostaddr", h.Name, h.Addr)
			x.targets = append(x.targets, &target{host: h})
			continue
		}
		addrs, known := found[h.Name]
		if !known {
			var err error
			if addrs, err = x.lookUp(ctx, s, h.Name); err != nil {
				errs = append(errs, err)
			}
			found[h.Name] = addrs
		}
		for _, a := range addrs {
			t := &target{host: h}
			t.host.Addr = a.String()
			x.targets = append(x.targets, t)
		}
	}
	switch {
	case len(errs) == 0:
		return nil
	case len(x.targets) == 0:
		return errors.Join(errs...)
	}
	s.warn(problem(errors.Join(errs...)))
	return nil
}

// lookUp resolves one name.
func (x *examination) lookUp(ctx context.Context, s *Step, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		s.add("address", name, kindOf(a))
		return []netip.Addr{a}, nil
	}
	addrs, err := x.resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	canonical, _ := x.resolver.LookupCNAME(ctx, name) // it is only told
	if canonical = strings.TrimSuffix(canonical, "."); !strings.EqualFold(canonical, strings.TrimSuffix(name, ".")) {
		s.add("cname", name, canonical)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	for _, a := range addrs {
		s.add("address", name, a.String()+", "+kindOf(a))
	}
	// Source: learn.microsoft.com/azure/private-link/private-endpoint-dns, read 2026-11.
	if strings.Contains("."+strings.ToLower(canonical), ".privatelink.") {
		s.add("private_link", name, "yes")
	}
	return addrs, nil
}

func kindOf(a netip.Addr) string {
	switch {
	case a.IsLoopback():
		return "this machine"
	case a.IsPrivate(), a.IsLinkLocalUnicast():
		return "private"
	}
	return "public"
}

// dial connects to all addresses at once.
func (x *examination) dial(ctx context.Context, s *Step) error {
	return x.reach(ctx, s, x.targets, func(ctx context.Context, t *target) ([]Finding, error) {
		start := time.Now()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", hostPort(t.host, t.host.Addr))
		if err != nil {
			return nil, err
		}
		_ = conn.Close()
		return []Finding{{Name: "connect", Value: time.Since(start).Round(10 * time.Microsecond).String()}}, nil
	})
}

// reach tries all targets at once and adds what it found. It returns an error if no host
// could be reached, and warns if one of them could not at any of its addresses.
func (x *examination) reach(ctx context.Context, s *Step, targets []*target, try func(context.Context, *target) ([]Finding, error)) error {
	ctx, cancel := x.limited(ctx)
	defer cancel()
	findings := make([][]Finding, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { findings[i], t.err = try(ctx, t) })
	}
	wg.Wait()
	reached := map[string]bool{}
	for i, t := range targets {
		for _, f := range findings[i] {
			s.add(f.Name, t.of(), f.Value)
		}
		if t.err != nil {
			what, _ := problem(t.err)
			s.add("error", t.of(), what)
			continue
		}
		reached[hostPort(t.host, t.host.Name)] = true
	}
	var failed error
	for _, t := range targets {
		if t.err != nil && !reached[hostPort(t.host, t.host.Name)] {
			if failed == nil {
				failed = t.err
			}
		}
	}
	if failed != nil && len(reached) > 0 {
		what, cure := problem(failed)
		s.warn(fmt.Sprintf("%d of the hosts can be used, and not all: %s", len(reached), what), cure)
		return nil
	}
	return failed
}
