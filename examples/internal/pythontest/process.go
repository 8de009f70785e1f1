package pythontest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/azurepg/azurepg/examples/internal/child"
)

// Python starts a program in dir that gets s.Env and more, and is stopped with the test.
func (s *Site) Python(t *testing.T, dir string, more []string, args ...string) *child.Process {
	t.Helper()
	p := s.start(t, Python, args, dir, append(s.Env[:len(s.Env):len(s.Env)], more...))
	if environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID())); err == nil { // on Linux
		if found := s.Azure.Leaks(string(environment)); found != nil {
			t.Errorf("the environment of %v holds %v", args, found)
		}
	}
	return p
}

func (s *Site) start(t *testing.T, program string, args []string, dir string, env []string) *child.Process {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, env
	p := child.Start(t, s.Azure.Leaks, cmd)
	t.Cleanup(p.Stop)
	return p
}
