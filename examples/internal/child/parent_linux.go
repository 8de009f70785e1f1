package child

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill the process when this one dies without cleaning up, as
// at go test's time limit.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
