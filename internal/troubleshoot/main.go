// Command troubleshoot meets what goes wrong in the first hour, and writes down what
// azurepg says then, what to do, and what happens afterwards:
//
//	make troubleshooting
//
// Entra is azurepgtest's, the server a real PostgreSQL.
package main

import (
	"fmt"
	"os"
)

const file = "docs/troubleshooting.md"

func main() {
	page, err := write()
	if err == nil {
		err = os.WriteFile(file, []byte(page), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
