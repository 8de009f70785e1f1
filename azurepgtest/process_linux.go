package azurepgtest

import "syscall"

// dieWithParent ends PostgreSQL even if the tests are killed.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGQUIT }
