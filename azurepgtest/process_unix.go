//go:build unix

package azurepgtest

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// stopSignals ask PostgreSQL for a fast and an immediate shutdown, then for none.
// crashSignals leave out the first, after which nothing is written or sent any more.
var (
	stopSignals  = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL}
	crashSignals = stopSignals[1:]
)

// An owner is the user whom PostgreSQL runs as. The zero owner is ourselves.
type owner struct {
	credential *syscall.Credential
}

// findOwner returns another user if we are root, which PostgreSQL refuses to run as.
func findOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return owner{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return owner{}, errors.New("azurepgtest: PostgreSQL does not run as root, and there is no user postgres or nobody")
}

// canPass reports whether the user whom PostgreSQL runs as may pass through dir, as far as
// that can be seen.
func canPass(dir string) bool {
	if os.Geteuid() != 0 {
		return true
	}
	dir, err := filepath.EvalSymlinks(dir)
	for ; err == nil; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
	return false
}

// take gives path to the owner.
func (o owner) take(path string) error {
	if o.credential == nil {
		return nil
	}
	return os.Chown(path, int(o.credential.Uid), int(o.credential.Gid))
}

// attributes put the child into a process group of its own: a Ctrl-C in the terminal
// is for the tests, which stop it in order, and the watchdog ends it by its group.
func (o owner) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: o.credential, Setpgid: true}
}

// isPrivate reports whether the file is ours and nobody else can change it.
func isPrivate(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
