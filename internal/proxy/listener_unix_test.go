//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package proxy_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/azurepg/azurepg/internal/proxy"
)

func listenAt(t *testing.T, address string) (net.Listener, error) {
	t.Helper()
	l, err := proxy.Listen(t.Context(), address, false)
	if err == nil {
		t.Cleanup(func() { _ = l.Close() })
	}
	return l, err
}

func TestNobodyElseCanOpenTheSocket(t *testing.T) {
	for name, path := range map[string]string{
		"a new directory": filepath.Join(t.TempDir(), "a", "b", "sock"),
		"libpq's name":    filepath.Join(t.TempDir(), "pg") + "/",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := listenAt(t, "unix:"+path)
			if err != nil {
				t.Fatal(err)
			}
			socket := l.Addr().String()
			if strings.HasSuffix(path, "/") && socket != path+".s.PGSQL.5432" || !strings.HasSuffix(path, "/") && socket != path {
				t.Errorf("%q became %q", path, socket)
			}
			for file, want := range map[string]os.FileMode{socket: os.ModeSocket | 0o600, filepath.Dir(socket): os.ModeDir | 0o700} {
				if info, err := os.Lstat(file); err != nil || info.Mode() != want {
					t.Errorf("%s has mode %v, %v; want %v", file, info.Mode(), err, want)
				}
			}
			if files, err := os.ReadDir(filepath.Dir(socket)); err != nil || len(files) != 1 {
				t.Errorf("the directory holds %v, %v; want the socket alone", files, err)
			}
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if files, _ := os.ReadDir(filepath.Dir(socket)); len(files) != 0 {
				t.Errorf("it leaves %v", files)
			}
		})
	}
}

func TestADirectoryOpenToOthersIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o755, 0o770, 0o701, 0o777 | os.ModeSticky} {
		dir := filepath.Join(t.TempDir(), "open")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := listenAt(t, "unix:"+filepath.Join(dir, "sock")); err == nil || !strings.Contains(err.Error(), "open to others") {
			t.Errorf("%v: got %v", mode, err)
		}
	}
}

func TestWhatIsOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	dir := filepath.Join(t.TempDir(), "pg")
	path := filepath.Join(dir, "sock")
	dead, err := listenAt(t, "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".kept"); err != nil {
		t.Fatal(err)
	}
	_ = dead.Close() // and leaves what is not at path
	if err := os.Rename(path+".kept", path); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, "unix:"+path); err == nil || !strings.Contains(err.Error(), "no socket of this user") {
		t.Errorf("the socket: got %v", err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, "unix:"+filepath.Join(dir, "other")); err == nil || !strings.Contains(err.Error(), "open to others") {
		t.Errorf("the directory: got %v", err)
	}
}

// Whoever owns the link can turn it to a directory of his own later, and listen there to
// this user's clients. In /tmp anybody can have put it there first.
func TestADirectoryBehindTheLinkOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	dir := filepath.Join(t.TempDir(), "pg")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, "unix:"+filepath.Join(link, "mine")); err != nil {
		t.Errorf("a link of one's own: %v", err)
	}
	const nobody = 65534
	if err := os.Lchown(link, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, "unix:"+link+"/"); err == nil || !strings.Contains(err.Error(), "a link of another user") {
		t.Errorf("got %v; want it refused", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the directory holds %v, %v; want the first socket alone", files, err)
	}
}

func TestASocketThatIsDeadIsReplacedAndNothingElse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sock")
	crash := func() {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
	}
	for name, tt := range map[string]struct {
		make func()
		says string // empty: it is replaced
	}{
		"nothing":         {func() {}, ""},
		"a dead socket":   {crash, ""},
		"a file":          {func() { _ = os.WriteFile(path, []byte("mine"), 0o600) }, "is no socket"},
		"a directory":     {func() { _ = os.MkdirAll(filepath.Join(path, "x"), 0o755) }, "is open to others"},
		"a symlink":       {func() { _ = os.Symlink("/nowhere", path) }, "is no socket"},
		"a live socket":   {func() { _, _ = listenAt(t, "unix:"+path) }, "somebody is listening"},
		"half a listener": {func() { _ = os.WriteFile(filepath.Join(dir, ".new"), nil, 0o600) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tt.make()
			before, _ := os.Lstat(path)
			l, err := listenAt(t, "unix:"+path)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got %v; want %q", err, tt.says)
			}
			if after, err := os.Lstat(path); tt.says != "" && (err != nil || !os.SameFile(before, after)) {
				t.Errorf("what was there is gone: %v", err)
			}
			if l != nil {
				_ = l.Close()
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestASocketThatIsNotItsOwnAnyMoreStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pg", "sock")
	l, err := listenAt(t, "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, "unix:"+path); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the other one's socket is gone: %v", err)
	}
	_ = conn.Close()
}

func TestOfManyThatStartAtOnceOneListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pg", "sock")
	var listening atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := listenAt(t, "unix:"+path); err == nil {
				listening.Add(1)
			}
		})
	}
	all.Wait()
	if n := listening.Load(); n != 1 {
		t.Errorf("%d listen; want 1", n)
	}
}

func TestADirectoryThatStaysLockedIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pg", "sock")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	locked, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	if err := syscall.Flock(int(locked.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, "unix:"+path); err == nil || !strings.Contains(err.Error(), "has locked that directory") {
		t.Errorf("got %v", err)
	}
	if err := locked.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, "unix:"+path); err != nil {
		t.Errorf("once it is unlocked: %v", err)
	}
}

// While the old proxy ends the new one tries until it is let.
func TestASuccessorKeepsItsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pg", "sock")
	for range 300 {
		old, err := listenAt(t, "unix:"+path)
		if err != nil {
			t.Fatal(err)
		}
		var ending sync.WaitGroup
		ending.Go(func() { _ = old.Close() })
		var l net.Listener
		for l == nil {
			l, _ = listenAt(t, "unix:"+path)
		}
		ending.Wait()
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("the successor's socket is gone: %v", err)
		}
		_ = conn.Close()
		_ = l.Close()
	}
}

func TestPathsThatCannotBe(t *testing.T) {
	for path, says := range map[string]string{
		"": "takes the path", "@abstract": "takes the path", filepath.Join(t.TempDir(), strings.Repeat("x", 110)): "no more than",
	} {
		if _, err := listenAt(t, "unix:"+path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v; want %s", path, err, says)
		}
	}
}
