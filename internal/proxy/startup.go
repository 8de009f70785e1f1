package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
)

// What the first packet of a client can be.
// Source: PostgreSQL documentation, 55.7 Message Formats, read 2026-11.
const (
	cancelCode    = 1234<<16 | 5678
	sslCode       = 1234<<16 | 5679
	gssCode       = 1234<<16 | 5680
	protocol3     = 3 << 16
	maxStartup    = 10000 // bytes: MAX_STARTUP_PACKET_LENGTH of PostgreSQL
	maxParameters = 200   // settings in one packet: far more than any client has
)

// startup is what a client asks for.
type startup struct {
	user     string
	database string
	params   map[string]string // run-time parameters, as the client spells them
	// replication: the client wants to replicate, not to query.
	replication bool
	// newer: it speaks a later minor version of protocol 3, or asked for options of
	// the protocol, which are in unknown. It has to be told that it gets neither.
	newer   bool
	unknown []string
}

// readStartup reads from a client until it has said what it wants: a startup packet, or
// the key of a cancel request. Like PostgreSQL it answers an SSLRequest and a
// GSSENCRequest once.
func readStartup(client net.Conn) (_ *startup, cancelKey []byte, err error) {
	declined := make(map[uint32]bool)
	for {
		packet, err := readPacket(client)
		if err != nil {
			return nil, nil, err
		}
		code := binary.BigEndian.Uint32(packet)
		switch {
		case code == cancelCode:
			return nil, packet[4:], nil
		case (code == sslCode || code == gssCode) && !declined[code]:
			declined[code] = true
			if _, err := client.Write([]byte{'N'}); err != nil {
				return nil, nil, err
			}
		default:
			s, err := parseStartup(packet)
			return s, nil, err
		}
	}
}

// errNoPacket is for a client that does not speak the protocol. It gets no answer, as
// from PostgreSQL.
var errNoPacket = errors.New("it sent what is no startup packet")

// readPacket reads a packet that has no type, and returns it without its length.
func readPacket(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < 8 || n > maxStartup {
		return nil, errNoPacket
	}
	packet := make([]byte, n-4)
	_, err := io.ReadFull(r, packet)
	return packet, err
}

// parseStartup reads a startup packet. Its errors are answers for the client.
func parseStartup(packet []byte) (*startup, error) {
	version, rest := binary.BigEndian.Uint32(packet), packet[4:]
	if version>>16 != 3 {
		return nil, answer(codeUnsupported, "unsupported frontend protocol %d.%d: azurepg proxy speaks 3.0", version>>16, version&0xffff)
	}
	s := &startup{params: make(map[string]string), newer: version > protocol3}
	for n := 0; ; n++ {
		name, more, ok := bytes.Cut(rest, []byte{0})
		switch {
		case !ok, len(name) == 0 && len(more) > 0:
			return nil, answer(codeProtocol, "invalid startup packet layout: expected terminator as last byte")
		case len(name) == 0:
			return s, nil
		case n == maxParameters:
			return nil, answer(codeProtocol, "more than %d settings in the startup packet", maxParameters)
		}
		value, more, ok := bytes.Cut(more, []byte{0})
		if !ok {
			return nil, answer(codeProtocol, "invalid startup packet layout: expected terminator as last byte")
		}
		if err := s.set(string(name), string(value)); err != nil {
			return nil, err
		}
		rest = more
	}
}

// set takes a setting. As with PostgreSQL the last of several counts.
func (s *startup) set(name, value string) error {
	switch {
	case name == "user":
		s.user = value
	case name == "database":
		s.database = value
	case name == "replication":
		wants, err := replication(value)
		s.replication = wants
		return err
	case strings.HasPrefix(name, "_pq_."):
		s.newer = true
		if !slices.Contains(s.unknown, name) {
			s.unknown = append(s.unknown, name)
		}
	default:
		s.params[name] = value
	}
	return nil
}

// replication reads the value of a boolean that can also be "database".
func replication(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "false", "off", "no", "0":
		return false, nil
	case "true", "on", "yes", "1", "database":
		return true, nil
	}
	return false, answer(codeInvalidValue, "invalid value for parameter \"replication\"")
}

// merged returns the run-time parameters for a session: the DSN's, and those of the
// client, which win. PostgreSQL reads their names without regard to case. Of options,
// which are command-line switches, the server gets both, and the last one counts.
func merged(ours, theirs map[string]string) map[string]string {
	all := make(map[string]string, len(ours)+len(theirs))
	for name, value := range ours {
		all[name] = value
	}
	for name, value := range theirs {
		for our := range ours {
			if strings.EqualFold(our, name) {
				delete(all, our)
			}
		}
		if name == "options" && ours[name] != "" {
			value = ours[name] + " " + value
		}
		all[name] = value
	}
	return all
}

// chosen returns the database for the client: the DSN's, or where clients may choose,
// what it asks for. Clients that name none send the user's name, as libpq does, and so
// mean the DSN's.
func (s *startup) chosen(dsn string, mayChoose bool) (string, error) {
	switch {
	case s.database == "" || s.database == dsn:
		return dsn, nil
	case mayChoose:
		return s.database, nil
	case s.database == s.user:
		return dsn, nil
	}
	err := answer(codeNoDatabase, "database %q is not the one that azurepg proxy logs in to", cut(s.database))
	err.Hint = fmt.Sprintf("Connect to %q, or start the proxy with -allow-database.", cut(dsn))
	return "", err
}
