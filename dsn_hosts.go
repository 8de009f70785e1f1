package azurepg

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// hosts puts the lists host, port and hostaddr together, each from the layer that
// has it, as libpq does. An empty port is the default, an empty address none.
func (l *dsnLayers) hosts() ([]Host, error) {
	list, from := l.lookup("host")
	if list == "" {
		return nil, errNoHost
	}
	names := strings.Split(list, ",")
	ports, err := l.list("port", len(names), func(v string) error { _, err := portNumber(v); return err })
	if err != nil {
		return nil, err
	}
	addrs, err := l.list("hostaddr", len(names), checkHostAddr)
	if err != nil {
		return nil, err
	}
	hosts := make([]Host, len(names))
	for i, name := range names {
		name = unbracket(name)
		if err := checkHostName(name); err != nil {
			return nil, from.label(dsnKeyIndex["host"], err)
		}
		port, _ := portNumber(ports[i])
		hosts[i] = Host{Name: name, Port: port, Addr: addrs[i]}
	}
	return hosts, nil
}

// list splits the value of a key into n: one for all, or one for each host.
func (l *dsnLayers) list(name string, n int, check func(string) error) ([]string, error) {
	v, from := l.lookup(name)
	parts := strings.Split(v, ",")
	if len(parts) == 1 && (name == "port" || v == "") {
		parts = strings.Split(strings.Repeat(v+",", n-1)+v, ",")
	}
	if len(parts) != n {
		return nil, from.label(dsnKeyIndex[name], errors.New("it must have as many elements as there are hosts"))
	}
	for _, p := range parts {
		if err := check(p); err != nil {
			return nil, from.label(dsnKeyIndex[name], err)
		}
	}
	return parts, nil
}

func checkHostAddr(v string) error {
	if v == "" {
		return nil
	}
	if _, err := netip.ParseAddr(v); err != nil {
		return errors.New("it must be IP addresses; names belong into host")
	}
	return nil
}

// unbracket takes an IPv6 address out of the brackets of a URL.
func unbracket(name string) string {
	if inner, ok := strings.CutPrefix(name, "["); ok && strings.HasSuffix(inner, "]") {
		inner = strings.TrimSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); err == nil && a.Is6() {
			return inner
		}
	}
	return name
}

// portNumber reads one port; an empty one is the default, as in libpq's lists.
func portNumber(v string) (uint16, error) {
	v = strings.TrimSpace(v)
	if v == "" {
		return defaultPort, nil
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("it must be a number from 1 to 65535")
	}
	return uint16(n), nil
}

// checkHostName tells host names and IP addresses from anything else, above all
// from the directories and abstract names of unix sockets.
func checkHostName(name string) error {
	switch {
	case name == "":
		return errors.New("one of the hosts is empty")
	case name[0] == '/' || name[0] == '@' || strings.HasPrefix(name, `\\`) || drivePath(name):
		return errors.New("a unix socket cannot do TLS: give a host name or an IP address")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	for _, r := range name {
		switch {
		case r >= 0x80:
			return errors.New("a host name outside ASCII must be written in its xn-- form")
		case (r|0x20) >= 'a' && (r|0x20) <= 'z', r >= '0' && r <= '9', r == '-', r == '.', r == '_':
		case r == ':':
			return errors.New("it must be host names or IP addresses; ports belong into port, and in a URL an IPv6 address into brackets")
		default:
			return errors.New("it must be host names or IP addresses")
		}
	}
	return nil
}

// drivePath tells C:\dir and C:/dir.
func drivePath(s string) bool {
	return len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/') && (s[0]|0x20) >= 'a' && (s[0]|0x20) <= 'z'
}
