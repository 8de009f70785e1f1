package brokertest

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A directory is private and goes with this process, however that ends. Whatever runs in
// it is killed at about the same time, so what removes it tries for a while.
type directory struct {
	path  string
	shell *exec.Cmd
	input io.Closer
}

const remove = `trap '' HUP INT QUIT TERM
read -r _
tries=50
until rm -rf -- "$0" 2>/dev/null && [ ! -e "$0" ] || [ "$tries" -eq 0 ]; do
	sleep 0.1 2>/dev/null || sleep 1
	tries=$((tries - 1))
done`

func newDirectory() (*directory, error) {
	// Random, so that nothing can be there for the shell to remove.
	d := &directory{path: filepath.Join(os.TempDir(), "broker"+strings.ToLower(rand.Text()[:12]))}
	d.shell = exec.Command("/bin/sh", "-c", remove, d.path)
	d.shell.Dir = "/"
	input, err := d.shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	d.input = input
	if err := d.shell.Start(); err != nil {
		return nil, fmt.Errorf("brokertest: %w", err)
	}
	if err := os.Mkdir(d.path, 0o700); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *directory) file(name string) string { return filepath.Join(d.path, name) }

// write makes a file that only we can read.
func (d *directory) write(name, content string) (string, error) {
	return d.file(name), os.WriteFile(d.file(name), []byte(content), 0o600)
}

func (d *directory) close() error {
	d.input.Close()
	if err := d.shell.Wait(); err != nil {
		return fmt.Errorf("brokertest: removing %s: %w", d.path, err)
	}
	return nil
}
