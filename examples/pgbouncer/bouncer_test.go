package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/loopback"
)

// A bouncer is a PgBouncer in front of a Server's PostgreSQL: TLS on both sides,
// transaction pooling, and a cleartext password.
type bouncer struct {
	port   string // on localhost, held until stop
	caFile string // PEM of its own certificate
	dir    string
	output bytes.Buffer // of the process; to be read once it has ended
	stop   func()

	release func() error // port

	consolePassword string

	mu        sync.Mutex        // guards passwords and the file made of them
	passwords map[string]string // by role
}

// settings of pgbouncer.ini. Two server connections that take turns let every round
// trip outside a transaction meet another backend than the one before: what is a matter
// of luck in production is certain here.
const settings = `[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
pool_mode = transaction
default_pool_size = 2
server_round_robin = 1
auth_type = plain
auth_file = %[3]s/users.txt
admin_users = console
client_tls_sslmode = require
client_tls_cert_file = %[3]s/server.pem
client_tls_key_file = %[3]s/server.pem
server_tls_sslmode = verify-full
server_tls_ca_file = %[3]s/postgres.pem
log_connections = 0
log_disconnections = 0
`

// startBouncer starts PgBouncer with more lines of pgbouncer.ini. The caller stops it.
func startBouncer(azure *azurepgtest.Postgres, more ...string) (_ *bouncer, err error) {
	dir, err := os.MkdirTemp("", "pgbouncer") // below t.TempDir nobody but this user gets
	if err != nil {
		return nil, err
	}
	b := &bouncer{caFile: filepath.Join(dir, "ca.pem"), dir: dir, consolePassword: rand.Text(), passwords: make(map[string]string)}
	number, release, err := loopback.HoldPort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b.port, b.release = strconv.Itoa(number), release
	b.stop = b.clean
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	program, err := findPgBouncer()
	if err != nil {
		return nil, err
	}
	if err := b.writeFiles(azure, more); err != nil {
		return nil, err
	}
	args := []string{filepath.Join(dir, "pgbouncer.ini")}
	if os.Geteuid() == 0 { // which PgBouncer refuses to run as
		args = append([]string{"-u", unprivileged()}, args...)
	}
	if err := b.run(program, args); err != nil {
		return nil, err
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if err = b.console("SHOW VERSION"); err == nil {
			return b, nil
		}
		if time.Now().After(end) {
			b.stop() // ends the writing of output
			return nil, fmt.Errorf("PgBouncer does not answer: %w\n%s", err, &b.output)
		}
	}
}

// findPgBouncer looks where Debian installs it too, which is no place of a plain user's PATH.
func findPgBouncer() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no PgBouncer: install the package pgbouncer (sh tools/setup.sh pgbouncer)")
}

// isAtLeast reports whether PgBouncer is of that version of 1 or a later one.
func isAtLeast(minor int) bool {
	program, err := findPgBouncer()
	if err != nil {
		panic(err)
	}
	out, err := exec.Command(program, "--version").Output()
	var major, installed int
	if _, scanErr := fmt.Sscanf(string(out), "PgBouncer %d.%d", &major, &installed); scanErr != nil {
		panic(fmt.Sprintf("%s --version: %q, %v", program, out, err))
	}
	return major > 1 || installed >= minor
}

// preparedStatements is the setting max_prepared_statements, which PgBouncer has since 1.21.
func preparedStatements(n int) []string {
	if !isAtLeast(21) {
		return nil
	}
	return []string{fmt.Sprintf("max_prepared_statements = %d", n)}
}

func unprivileged() string {
	if _, err := user.Lookup("postgres"); err == nil {
		return "postgres"
	}
	return "nobody"
}

func (b *bouncer) clean() {
	os.RemoveAll(b.dir)
	b.release()
}

// run starts program below a shell that ends it when our end of its input is closed,
// which the kernel does if this process dies.
func (b *bouncer) run(program string, args []string) error {
	cmd := exec.Command("/bin/sh", append([]string{"-c", `"$0" "$@" & read -r _; kill -KILL $!; wait $!`, program}, args...)...)
	cmd.Stdout, cmd.Stderr = &b.output, &b.output
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	b.stop = sync.OnceFunc(func() {
		input.Close()
		cmd.Wait() // says no more than that it was killed
		b.clean()
	})
	return cmd.Start()
}

// writeFiles writes everything that PgBouncer reads, for whatever user it runs as.
func (b *bouncer) writeFiles(azure *azurepgtest.Postgres, more []string) error {
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	key, certificate, err := newCertificate()
	if err != nil {
		return err
	}
	roots, err := os.ReadFile(azure.CAFile)
	if err != nil {
		return err
	}
	ini := fmt.Sprintf(settings, azure.Port, b.port, b.dir) + strings.Join(more, "\n") + "\n"
	for name, content := range map[string][]byte{
		"ca.pem": certificate, "server.pem": append(key, certificate...), "postgres.pem": roots, "pgbouncer.ini": []byte(ini),
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return b.writeUsers()
}

// newCertificate returns the PEM of a key and of a certificate for localhost that it
// signed itself.
func newCertificate() (key, certificate []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "PgBouncer"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
