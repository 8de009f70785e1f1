// Package tlspage runs what docs/tls.md says.
package tlspage

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg/examples/internal/brokertest"
	"github.com/azurepg/azurepg/internal/loopback"
	"github.com/azurepg/azurepg/tlsfiles"
)

const page = "../../../docs/tls.md"

// block is one of the page's, in the order in which they stand.
type block struct {
	kind string // what follows the opening fence
	file string // the name before a colon above it, of a file that is to be
	text string
}

// blocks reads the page and puts dir and the ports in the place of its own.
func blocks(t *testing.T, dir, redisPort, rabbitPort string) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	ours := strings.NewReplacer("/etc/tls", dir, "6380", redisPort, "5671", rabbitPort)
	var all []block
	for _, m := range regexp.MustCompile("(?ms)^(?:[^\n]*`([\\w.]+)`[^\n`]*:\n\n)?```(\\w+(?: server)?)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{file: m[1], kind: m[2], text: ours.Replace(m[3])})
	}
	return all
}

// machine is the one that the page is about.
type machine struct {
	t    *testing.T
	dir  string
	env  []string
	logs int
}

func (m *machine) command(script string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(m.t.Context(), 3*time.Minute)
	m.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-euc", script)
	cmd.Dir, cmd.Env = m.dir, append(m.env, path)
	return cmd
}

// path has Debian's programs first, and RabbitMQ's real ones: those of /usr/sbin
// change to another user.
const path = "PATH=/usr/lib/rabbitmq/bin:/usr/bin:/bin:/usr/sbin:/sbin"

// serve starts a server and waits until it takes connections, if addr is not empty.
func (m *machine) serve(script, addr string) {
	m.t.Helper()
	m.logs++
	log := filepath.Join(m.dir, fmt.Sprintf("server%d.log", m.logs))
	p := brokertest.Run(m.t, m.dir, log, append(m.env, path), "/bin/sh", "-euc", "exec "+strings.TrimSpace(script))
	if addr == "" {
		return
	}
	p.Await(m.t, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
}

// run runs commands, again for as long as patience lasts if they fail, and returns what
// they print.
func (m *machine) run(script string, patience time.Duration) string {
	m.t.Helper()
	for end := time.Now().Add(patience); ; {
		out, err := m.command(script).CombinedOutput()
		if err == nil {
			m.t.Logf("%s\n%s", script, out)
			return string(out)
		}
		if time.Now().After(end) {
			m.t.Fatalf("%v of\n%s\n%s", err, script, out)
		}
	}
}

// witness is a program that made its Config when the certificates were new, and connects
// after each command.
type witness struct {
	mu      sync.Mutex // guards lines
	lines   bytes.Buffer
	files   *tlsfiles.Files
	configs map[string]*tls.Config // address → for it
}

func (w *witness) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines.Write(p)
}

func (w *witness) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.lines.Reset()
	return w.lines.String()
}

func newWitness(t *testing.T, dir string) *witness {
	t.Helper()
	w := &witness{configs: map[string]*tls.Config{}}
	for name, file := range map[string]string{"CA_CERT": "ca.crt", "CERT_FILE": "client.crt", "KEY_FILE": "client.key"} {
		t.Setenv("REDIS_TLS_"+name, filepath.Join(dir, file))
	}
	opts := tlsfiles.FromEnv("REDIS_TLS_")
	opts.Logger = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	var err error
	if w.files, err = tlsfiles.New(opts); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *witness) connect(t *testing.T, addr string) {
	t.Helper()
	if w.configs[addr] == nil {
		w.configs[addr] = w.files.Config("localhost")
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", addr, w.configs[addr])
	if err != nil {
		t.Fatal(w.files.Explain(err))
	}
	defer func() { _ = conn.Close() }()
	// With TLS 1.3 a refusal comes now. To 8 bytes that are no header of AMQP RabbitMQ
	// answers with the one that it wants.
	if _, err := conn.Write([]byte("PING\r\n\r\n")); err != nil {
		t.Fatal(w.files.Explain(err))
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(w.files.Explain(err))
	}
}

func TestPageIsRunFromTopToBottom(t *testing.T) {
	dir := t.TempDir()
	ports := []string{loopback.HeldPort(t), loopback.HeldPort(t)}
	m := &machine{t: t, dir: dir, env: append(brokertest.Node(t, dir), "LC_ALL=C.UTF-8", "RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"))}
	servers := []string{net.JoinHostPort("127.0.0.1", ports[0]), net.JoinHostPort("127.0.0.1", ports[1]), "", ""}
	var (
		w       *witness
		output  string
		up, ran int
	)
	for _, b := range blocks(t, dir, ports[0], ports[1]) {
		switch {
		case b.file != "":
			if err := os.WriteFile(filepath.Join(dir, b.file), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case b.kind == "sh server":
			m.serve(b.text, servers[up])
			up++
		case b.kind == "sh":
			output = m.run(b.text, time.Minute)
			ran++
			if strings.Contains(b.text, "openssl verify") && w == nil {
				w = newWitness(t, dir)
			}
			for _, addr := range servers[:min(up, 2)] {
				w.connect(t, addr)
			}
		case b.kind == "text":
			wantLines(t, output, b.text)
		case b.kind == "log":
			wantLog(t, w.take(), b.text)
		}
	}
	if up != 4 || ran < 12 {
		t.Errorf("%d servers were started and %d commands run", up, ran)
	}
	if changes := strings.Count(w.take(), "changed files are taken up"); changes < 4 {
		t.Errorf("a program that ran all the time took up %d changes; want those of authority and pair", changes)
	}
	wantNewAuthority(t, dir, servers[:2])
	if output != "" {
		t.Errorf("certificates that last a year were reported:\n%s", output)
	}
}

// wantLines looks for each line of want in what was printed, in order.
func wantLines(t *testing.T, printed, want string) {
	t.Helper()
	rest := printed
	for line := range strings.Lines(want) {
		_, after, found := strings.Cut(rest, strings.TrimSpace(line))
		if !found {
			t.Errorf("%q is not in\n%s", line, printed)
			return
		}
		rest = after
	}
}

// wantLog compares the page's line with those written, but for numbers.
func wantLog(t *testing.T, written, want string) {
	t.Helper()
	same := func(s string) string { return regexp.MustCompile(`days_left=\d+`).ReplaceAllString(s, "days_left=N") }
	if !strings.Contains(same(written), same(want)) {
		t.Errorf("the page has the line\n%swritten were\n%s", want, written)
	}
}

// wantNewAuthority connects as a program that has never heard of the old one.
func wantNewAuthority(t *testing.T, dir string, servers []string) {
	t.Helper()
	files, err := tlsfiles.New(tlsfiles.Options{CAFile: filepath.Join(dir, "ca2.crt"), CertFile: filepath.Join(dir, "client.crt"), KeyFile: filepath.Join(dir, "client.key")})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range servers {
		(&witness{files: files, configs: map[string]*tls.Config{}}).connect(t, addr)
	}
}

// Docker is nothing that tests can start, so what is mounted is all that is looked at:
// each file is one that the page makes.
func TestComposeFileMountsWhatThePageMakes(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	mounts := regexp.MustCompile(`(?m)^ +- \./(\S+?):(\S+):ro$`).FindAllStringSubmatch(string(text), -1)
	if len(mounts) < 9 {
		t.Fatalf("only %d files are mounted", len(mounts))
	}
	for _, m := range mounts {
		made := strings.Contains(string(text), "`"+m[1]+"`") || regexp.MustCompile(`(?m)-(keyout|out) (`+regexp.QuoteMeta(m[1])+`|\$server\.)`).Match(text)
		if !made {
			t.Errorf("the page does not make %s", m[1])
		}
		if strings.HasPrefix(m[2], "/etc/tls/") && m[2] != "/etc/tls/"+m[1] {
			t.Errorf("%s is mounted at %s, where no server looks", m[1], m[2])
		}
	}
}
