//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// socketName is how libpq calls a socket for port 5432.
const socketName = ".s.PGSQL.5432"

// maxPath is the longest path of a unix socket, in bytes, on all systems.
const maxPath = 103

// unixListener removes its socket when it is closed.
type unixListener struct {
	net.Listener
	path  string
	close func() error
}

var _ net.Listener = (*unixListener)(nil)

// Addr returns the socket's path; the listener itself knows the one it was made under.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close stops listening and removes the socket, if it is still this one.
func (l *unixListener) Close() error { return l.close() }

// listenUnix makes the socket under another name, and gives it its own when it is
// complete: nobody sees one that does not listen yet or has other permissions.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	path, err := socketPath(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, plainError(err)
	}
	dir, err := lockDir(ctx, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }() // and with it the lock
	if err := removeDead(path); err != nil {
		return nil, err
	}
	birth := filepath.Join(filepath.Dir(path), ".new") // shorter than any useful name
	_ = os.Remove(birth)                               // of a proxy that died here: the lock is ours
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: birth, Net: "unix"})
	if err != nil {
		return nil, plainError(err)
	}
	l.SetUnlinkOnClose(false)
	defer func() { _ = os.Remove(birth) }()
	if err := errors.Join(os.Chmod(birth, 0o600), os.Link(birth, path)); err != nil {
		return nil, errors.Join(plainError(err), l.Close())
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(plainError(err), l.Close())
	}
	return &unixListener{l, path, sync.OnceValue(func() error { return errors.Join(retire(path, made), l.Close()) })}, nil
}

// retire removes the socket that made is of while it still listens: so nobody takes it for
// dead and puts a new one in its place between the look at it and its removal.
func retire(path string, made os.FileInfo) error {
	dir, err := lockDir(context.Background(), filepath.Dir(path))
	if err != nil {
		return removeOwn(path, made) // nobody else starts in such a directory, or will have to wait
	}
	defer func() { _ = dir.Close() }() // and with it the lock
	return removeOwn(path, made)
}

func socketPath(path string) (string, error) {
	if path == "" || strings.HasPrefix(path, "@") {
		return "", errors.New("unix: takes the path of a socket, such as unix:/run/user/1000/azurepg/" + socketName)
	}
	info, err := os.Stat(path)
	if strings.HasSuffix(path, "/") || err == nil && info.IsDir() {
		path = filepath.Join(path, socketName)
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	if len(path) > maxPath {
		return "", fmt.Errorf("the path of the socket has %d bytes, and no more than %d are possible", len(path), maxPath)
	}
	return path, nil
}

// lockPatience is how long one proxy waits for another that starts or ends in the same
// directory, which takes milliseconds.
const lockPatience = 3 * time.Second

// lockDir locks a directory that is closed to others: of two proxies that start or end
// here at the same time, one waits.
func lockDir(ctx context.Context, name string) (*os.File, error) {
	entry, err := os.Lstat(name)
	if err != nil {
		return nil, plainError(err)
	}
	dir, err := os.Open(name)
	if err != nil {
		return nil, plainError(err)
	}
	info, err := dir.Stat()
	const instead = "name a directory that does not exist yet, or one of your own with mode 0700"
	switch {
	case err != nil:
	case info.Mode().Perm()&0o077 != 0 || !isOwn(info):
		err = fmt.Errorf("the directory of the socket, %s, is open to others (%s): everyone who can reach the socket is logged in; %s",
			name, info.Mode().Perm(), instead)
	case !isOwn(entry) && !isOf(entry, 0): // in /tmp anybody can have put it there first
		err = fmt.Errorf("the directory of the socket, %s, is a link of another user, who can turn it elsewhere and listen there to your clients; %s", name, instead)
	default:
		err = lock(ctx, dir)
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

func lock(ctx context.Context, dir *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("flock", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another proxy is starting or ending in %s, or something else has locked that directory: name another one", dir.Name())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func isOwn(info os.FileInfo) bool { return isOf(info, os.Geteuid()) }

func isOf(info os.FileInfo, user int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == user
}

// removeDead removes the socket of a proxy that has crashed: one of our own at which
// nobody listens. The caller holds the lock of the directory.
func removeDead(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return plainError(err)
	case info.Mode().Type() != os.ModeSocket || !isOwn(info):
		return fmt.Errorf("%s exists and is no socket of this user: it stays, name another path", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("at %s somebody is listening already", path)
	}
	return removeOwn(path, info)
}

// removeOwn removes what is at path if it is the file that info is of.
func removeOwn(path string, info os.FileInfo) error {
	now, err := os.Lstat(path)
	if err != nil || !os.SameFile(now, info) {
		return nil
	}
	return plainError(os.Remove(path))
}

// plainError is for errors whose text speaks of the name of a socket in the making.
func plainError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the socket cannot be made: %w", err)
}
