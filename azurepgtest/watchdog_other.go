//go:build !unix

package azurepgtest

import "os/exec"

// A watchdog does nothing here: there is no PostgreSQL of ours, only the files of a killed
// process stay.
type watchdog struct{}

func startWatchdog(string) (*watchdog, error) { return new(watchdog), nil }
func (*watchdog) guard(*exec.Cmd)             {}
func (*watchdog) forget()                     {}
func (*watchdog) dismiss(bool) error          { return nil }
