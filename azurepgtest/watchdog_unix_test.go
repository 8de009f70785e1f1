//go:build unix

package azurepgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestWatchdogFinishesWhatCouldNotBeClosed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		signal       syscall.Signal
	}{
		{"a process that obeys", `echo x; exec sleep 1000`, syscall.SIGQUIT},
		{"a process that ignores SIGQUIT", `trap '' QUIT; echo x; exec sleep 1000`, syscall.SIGKILL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, w, err := temporaryDir()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/bin/sh", "-c", tt.script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			w.guard(cmd)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := out.Read(make([]byte, 1)); err != nil {
				t.Fatal(err) // it is what it should be when it says something
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			if err := w.dismiss(false); err != nil {
				t.Error(err)
			}
			select {
			case <-ended:
				if got := cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != tt.signal {
					t.Errorf("the process has ended by %v; want %v", got, tt.signal)
				}
			case <-time.After(10 * time.Second):
				t.Error("the process goes on")
				cmd.Process.Kill()
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("the directory is left: %v", err)
			}
		})
	}
}

func TestWatchdogLeavesForgottenProcessesAlone(t *testing.T) {
	t.Parallel()
	dir, w, err := temporaryDir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	w.guard(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	echo := func() {
		t.Helper()
		stdin.Write([]byte("x"))
		if _, err := stdout.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	echo() // so the watchdog knows it
	w.forget()
	if err := w.dismiss(false); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
	echo()
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
