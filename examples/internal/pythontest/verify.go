package pythontest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
)

// SendsOnlyToVerified runs a program whose database is a server that records passwords: one
// under a trusted certificate gets that of the passfile, and others, also one that has a
// certificate for another name, do not.
func SendsOnlyToVerified(t *testing.T, args ...string) {
	t.Helper()
	NeedPackages(t)
	const role, password = "sp_hostile@db", "HUNTER"
	for _, behaviour := range []azurepgtest.Evil{azurepgtest.AsksPassword, azurepgtest.SelfSigned, azurepgtest.OtherName, azurepgtest.RefusesTLS} {
		server := azurepgtest.Record(t, behaviour)
		host, port, err := net.SplitHostPort(server.Addr)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "pgpass")
		if err := os.WriteFile(file, fmt.Appendf(nil, "%s:%s:*:%s:%s\n", host, port, role, password), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), Python, args...)
		cmd.Env = []string{
			"HOME=" + filepath.Dir(file), "PYTHONDONTWRITEBYTECODE=1", "AZURE_SERVICE_PRINCIPAL_USER=" + role,
			"DB_HOST=" + host, "DB_PORT=" + port, "PGPASSFILE=" + file, "PGSSLROOTCERT=" + server.CAFile,
		}
		out, err := cmd.CombinedOutput()
		if err == nil || server.Connections() == 0 {
			t.Errorf("it %s, and the program did not notice:\n%s", behaviour, out)
		}
		if got, want := slices.Contains(server.Passwords(), password), behaviour == azurepgtest.AsksPassword; got != want {
			t.Errorf("it %s, and got the password: %v; want %v\n%s", behaviour, got, want, out)
		}
	}
}
