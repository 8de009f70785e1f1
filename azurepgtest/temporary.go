package azurepgtest

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// temporaryDir makes the directory of a Server, and before it the watchdog who sees to
// its end. Its path has to be short, for the path of a unix socket inside is limited to
// about 100 bytes, and everyone may pass through it, for PostgreSQL runs as another user
// if we are root; what it holds is private.
func temporaryDir() (string, *watchdog, error) {
	parent, err := filepath.Abs(os.TempDir()) // the watchdog is elsewhere
	if err != nil {
		return "", nil, fmt.Errorf("azurepgtest: %w", err)
	}
	if len(parent) > 60 || !canPass(parent) {
		parent = "/tmp"
	}
	// 60 random bits: no directory of that name can be there for the watchdog to remove.
	dir := filepath.Join(parent, "azpg"+strings.ToLower(rand.Text()[:12]))
	w, err := startWatchdog(dir)
	if err != nil {
		return "", nil, err
	}
	if err = os.Mkdir(dir, 0o711); err == nil {
		err = os.Chmod(dir, 0o711) // whatever the umask
	}
	if err != nil {
		os.Remove(dir)
		w.dismiss(true)
		return "", nil, fmt.Errorf("azurepgtest: %w", err)
	}
	return dir, w, nil
}
