//go:build !unix

package azurepgtest

import "errors"

func installAzureCLI(string, func([]string) (string, bool)) (func() error, error) {
	return nil, errors.New("the fake az is a shell script, for Unix only")
}
