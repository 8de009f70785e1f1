//go:build !unix

package azurepgtest

import (
	"errors"
	"os"
	"syscall"
)

var stopSignals, crashSignals = []os.Signal{os.Kill}, []os.Signal{os.Kill}

// An owner is the user whom PostgreSQL runs as, ourselves.
type owner struct{}

// findOwner refuses: the front reaches PostgreSQL by a unix socket in a private
// directory, which is not how it is done on Windows.
func findOwner() (owner, error) {
	return owner{}, errors.New("azurepgtest: PostgreSQL is started on Unix only; set AZUREPG_TEST_POSTGRES to the URL of a running server")
}

func canPass(string) bool                      { return true }
func (owner) take(string) error                { return nil }
func (owner) attributes() *syscall.SysProcAttr { return nil }
func isPrivate(os.FileInfo) bool               { return true }
