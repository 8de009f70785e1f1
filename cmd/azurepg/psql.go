package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"strings"

	"github.com/azurepg/azurepg"
)

var psqlCommand = command{
	name: "psql", args: "[DSN] [-- ARGUMENTS OF PSQL]", summary: "runs psql with a token for its password",
	help: `
psql gets token, user, database, hosts, TLS mode and certificates through its environment, so
that nobody sees the token among the processes. What stands behind -- is psql's:

	azurepg psql 'postgres://app@mydb.postgres.database.azure.com/shop' -- -c 'select 1'

azurepg makes way for psql (on Windows it waits for it), so Ctrl-C and exit codes are psql's.
The session outlives its token, but \connect after the token's end, about an hour later, does
not work: start anew. A host that psql's own arguments name gets the token too: leave -h, -d
and connection strings out.

Roots: sslrootcert=system becomes the file of this machine's certificate authorities, which
psql before 16 needs. A client secret is not passed on.`,
	setup: func(*flag.FlagSet) func(context.Context, *streams, []string) error { return runPsql },
}

func runPsql(ctx context.Context, _ *streams, args []string) error {
	dsn, rest, err := psqlArguments(args)
	if err != nil {
		return err
	}
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		return err
	}
	c, err := azurepg.NewConnector(cfg)
	if err != nil {
		return err
	}
	psql, err := exec.LookPath("psql")
	if err != nil {
		return errors.New("there is no psql on PATH: install PostgreSQL's client programs (postgresql-client)")
	}
	login, err := c.Login(ctx)
	if err != nil {
		return err
	}
	return replace(psql, rest, psqlEnvironment(cfg, login, os.Environ(), systemRoots(os.Getenv, exists)))
}

// psqlArguments parts the command line. flag has taken a -- away that stood first.
func psqlArguments(args []string) (dsn string, rest []string, err error) {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		dsn, args = args[0], args[1:]
		if len(args) > 0 && args[0] != "--" {
			return "", nil, usagef("what is for psql stands behind --")
		}
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	return dsn, args, nil
}

// rootFiles are where certificate authorities are kept, in the order of crypto/x509.
// Source: root_linux.go, root_bsd.go and root_solaris.go of Go 1.26.
var rootFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Gentoo
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
	"/etc/ssl/ca-bundle.pem",                            // OpenSUSE
	"/etc/pki/tls/cacert.pem",                           // OpenELEC
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS, RHEL 7
	"/etc/ssl/cert.pem",                                 // Alpine, macOS, BSD
	"/usr/local/etc/ssl/cert.pem",                       // FreeBSD
	"/usr/local/share/certs/ca-root-nss.crt",            // FreeBSD
	"/etc/openssl/certs/ca-certificates.crt",            // NetBSD
	"/etc/certs/ca-certificates.crt",                    // Solaris
}

// systemRoots returns this machine's file of certificate authorities. Without one it is
// "system", which psql understands from 16 on.
func systemRoots(getenv func(string) string, exists func(string) bool) string {
	if file := getenv("SSL_CERT_FILE"); file != "" {
		return file
	}
	for _, file := range rootFiles {
		if exists(file) {
			return file
		}
	}
	return "system"
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
