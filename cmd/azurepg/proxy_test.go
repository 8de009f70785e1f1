package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// runProxy is "azurepg proxy" with a command line that cannot work.
func runProxy(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), &streams{strings.NewReader(""), &out, &out}, append([]string{"proxy"}, args...))
	return code, out.String()
}

func TestProxyRefusesWhatCannotWork(t *testing.T) {
	const dsn = "postgres://app@localhost/shop"
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"no listener":        {[]string{dsn}, "-listen is missing"},
		"everybody's port":   {[]string{"-listen", "tcp:0.0.0.0:0", dsn}, "loopback interface only"},
		"no address":         {[]string{"-listen", "5432", dsn}, "no address to listen at"},
		"everybody's socket": {[]string{"-listen", "unix:" + filepath.Join(openDirectory(t), "s"), dsn}, "open to others"},
		"two DSNs":           {[]string{"-listen", "tcp:127.0.0.1:0", dsn, dsn}, "one DSN"},
		"a password":         {[]string{"-listen", "tcp:127.0.0.1:0", "postgres://app:hunter2@localhost/shop"}, "a password is given"},
		"a health address":   {[]string{"-listen", "tcp:127.0.0.1:0", "-health", "nowhere", dsn}, "-health"},
	} {
		code, said := runProxy(t, tt.args...)
		if code != exitUsage || !strings.Contains(said, tt.says) || strings.Contains(said, "hunter2") {
			t.Errorf("%s: exit code %d: %s; want %d and %q", name, code, said, exitUsage, tt.says)
		}
	}
}

// openDirectory is one that other users can enter.
func openDirectory(t *testing.T) string {
	t.Helper()
	return filepath.Dir(filepath.Dir(t.TempDir())) // that of all tests
}

func TestProxyHelpNamesEveryFlag(t *testing.T) {
	code, said := runProxy(t, "-h")
	for _, want := range []string{"-listen address", "-listen-beyond-this-machine", "-health", "-allow-database", "-max-connections", "-startup-timeout",
		"-idle-timeout", "-drain", "-log-json", "-verbose", "default 100", "default 10s", "default 25s"} {
		if code != 0 || !strings.Contains(said, want) {
			t.Errorf("exit code %d; the help does not say %q", code, want)
		}
	}
}
