package azurepgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// An AuthMethod is a way to log in with a password, or without one.
type AuthMethod string

// The methods of [Postgres.AddPasswordRole].
const (
	SCRAM     AuthMethod = "scram-sha-256"
	MD5       AuthMethod = "md5"
	Cleartext AuthMethod = "password"
	Trust     AuthMethod = "trust"
)

var authMethods = []AuthMethod{SCRAM, MD5, Cleartext, Trust}

// group returns the role whose members have to log in by the method.
func (m AuthMethod) group() string { return "azurepgtest_" + string(m) }

// writeHBA writes which role is asked for what. The roles of principals and the superuser
// are trusted, which is for those who can open the socket in its private directory: the
// front, us and standbys. A group that is not there has no members.
func (p *process) writeHBA() error {
	var lines strings.Builder
	for _, method := range authMethods {
		fmt.Fprintf(&lines, "local all +%s %s\n", method.group(), method)
	}
	lines.WriteString("local all all trust\nlocal replication postgres trust\n")
	// The file is initdb's and stays its owner's.
	if err := os.WriteFile(filepath.Join(p.data, "pg_hba.conf"), []byte(lines.String()), 0o600); err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	return nil
}
