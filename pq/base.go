package pq

import (
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/azurepg/azurepg"
)

// base is what a Config means to lib/pq. It does not change once it is made.
type base struct {
	hosts    []host
	template pq.Config     // without host and user
	session  string        // target_session_attrs
	timeout  time.Duration // for one attempt at one host; zero or less: none
}

// host is one server, as lib/pq and Login.Dial know it.
type host struct {
	name    string
	port    uint16
	address string // of Login.Dial
}

// placeholder is the password that lib/pq is given. It must not be empty: lib/pq
// would read ~/.pgpass.
const placeholder = "azurepg"

// Base is lib/pq, for azurepg.Config.Base. Its errors are *azurepg.DSNError, for a
// setting that lib/pq cannot honour.
func Base(cfg *azurepg.Config) (azurepg.OpenFunc, error) {
	b := &base{session: cfg.TargetSessionAttrs, timeout: cfg.ConnectTimeout}
	for _, h := range cfg.Hosts {
		dialled := h.Addr
		if dialled == "" {
			dialled = h.Name
		}
		b.hosts = append(b.hosts, host{h.Name, h.Port, net.JoinHostPort(dialled, strconv.Itoa(int(h.Port)))})
	}
	var err error
	if b.template, err = newTemplate(cfg); err != nil {
		return nil, err
	}
	return b.open, nil
}

// newTemplate fills a pq.Config by hand: pq.NewConfig reads the environment and
// the service file, which overrides what it is given. TLS is off because lib/pq
// runs inside of ours.
func newTemplate(cfg *azurepg.Config) (pq.Config, error) {
	t := pq.Config{
		Database: cfg.Database, Password: placeholder, SSLMode: pq.SSLModeDisable,
		ClientEncoding: "UTF8", Datestyle: "ISO, MDY",
		MinProtocolVersion: pq.ProtocolVersion30, MaxProtocolVersion: pq.ProtocolVersion30,
		Runtime: maps.Clone(cfg.RuntimeParams),
	}
	for key, fixed := range map[string]string{"client_encoding": t.ClientEncoding, "datestyle": t.Datestyle} {
		if v, given := t.Runtime[key]; given && !sameSetting(v, fixed) {
			return t, &azurepg.DSNError{Key: key, Err: errors.New("lib/pq reads nothing but " + fixed + ": leave it out")}
		}
		delete(t.Runtime, key)
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.BaseParams)) {
		if key != "binary_parameters" {
			return t, &azurepg.DSNError{Key: key, Err: errors.New("lib/pq does not know it: it is for another base driver")}
		}
		t.BinaryParameters = slices.Contains([]string{"yes", "true", "on", "1"}, cfg.BaseParams[key])
	}
	return t, nil
}

// sameSetting compares values as the server reads them: UTF8 may be written utf-8,
// and "ISO, MDY" iso,mdy.
func sameSetting(a, b string) bool {
	plain := strings.NewReplacer("-", "", "_", "", " ", "")
	return strings.EqualFold(plain.Replace(a), plain.Replace(b))
}
