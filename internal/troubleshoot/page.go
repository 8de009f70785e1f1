package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
)

//go:embed quickstart.go
var program string

const head = `# When it does not connect

<!-- Written by make troubleshooting; a test compares. -->

What goes wrong in the first hour, what azurepg says then, and what to do. A program met each of these and wrote this page, with a
fake of Entra and a real PostgreSQL (package [azurepgtest](../azurepgtest/doc.go)); nothing here is from live Azure. Errors are one
line, folded here; ids, ports and files are put in words. The README has [a table](../README.md#when-it-fails) of more messages.

The program is called with the DSN that stands above each answer. Its identity is that of an application, app, in AZURE_TENANT_ID,
AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.

`

// write plays all faults and returns the page.
func write() (_ string, err error) {
	kept := os.Environ()
	s, err := newStage()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, restore(kept), s.azure.Close()) }()
	if err := s.azure.Postgres.CreateDatabase(context.Background(), "shop"); err != nil {
		return "", err
	}
	resolver := net.DefaultResolver
	defer func() { net.DefaultResolver = resolver }()
	stop, err := emptyDNS()
	if err != nil {
		return "", err
	}
	defer stop()
	var page strings.Builder
	_, code, _ := strings.Cut(program, "func quickStart")
	page.WriteString(head + "```go\nfunc quickStart" + code + "```\n")
	for _, f := range faults {
		text, err := s.play(f)
		if err != nil {
			return "", err
		}
		page.WriteString("\n" + strings.TrimSuffix(text, "\n"))
	}
	if leaks := s.azure.Leaks(page.String()); leaks != nil {
		return "", fmt.Errorf("the page would hold %v", leaks)
	}
	return page.String(), nil
}

// closed is an address of loopback's network where nobody listens, as long as nobody
// takes this one of all.
const closed = "127.64.32.1:6432"

// restore is for tests, which go on.
func restore(environ []string) error {
	os.Clearenv()
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

var (
	guid     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	resolver = regexp.MustCompile(` on \S+:\d+: no such host`)
	names    = regexp.MustCompile(`"localhost, login[^"]*"`) // of the certificate that azurepgtest's servers share
)

// plain puts fixed words in the place of what is another at each run.
func (s *stage) plain(text string) string {
	text = strings.NewReplacer(s.azure.Postgres.CAFile, "ca.pem", fmt.Sprint(":", s.azure.Postgres.Port), ":5432", closed, "localhost:6432",
		strings.Split(closed, ":")[0], "localhost", "127.0.0.1", "localhost", s.app.TenantID, "<tenant id>", s.app.ClientID, "<client id>", s.app.ObjectID, "<object id>").Replace(text)
	text = names.ReplaceAllString(text, `"localhost, …"`)
	text = resolver.ReplaceAllString(text, ": no such host")
	return guid.ReplaceAllString(text, "<id>")
}

// emptyDNS makes this process ask a name server that knows no names, so that the page
// does not depend on where it is written.
func emptyDNS() (stop func(), err error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			const response, recursion, nameError = 0x80, 0x80, 3
			if n > 12 {
				packet[2] |= response
				packet[3] = recursion | nameError
				packet[11] = 0 // no additional record: EDNS is not spoken here
				_, _ = conn.WriteTo(questionOf(packet[:n]), from)
			}
		}
	}()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	return func() { _ = conn.Close() }, nil
}

// questionOf is the packet up to the end of its one question (RFC 1035, 4.1.2).
func questionOf(packet []byte) []byte {
	end := 12
	for end < len(packet) && packet[end] != 0 {
		end += 1 + int(packet[end])
	}
	return packet[:min(len(packet), end+5)]
}
