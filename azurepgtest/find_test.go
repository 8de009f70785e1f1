package azurepgtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNewestInstalledPostgresComesFirst(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, version := range []string{"9.6", "17", "15"} {
		if err := os.MkdirAll(filepath.Join(root, "postgresql", version, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, dir := range newestFirst([]string{filepath.Join(root, "postgresql", "*", "bin")}) {
		got = append(got, filepath.Base(filepath.Dir(dir)))
	}
	if want := []string{"17", "15", "9.6"}; !slices.Equal(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
}

func TestDirectoryNeedsBothPrograms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("postgres", 0o755)
	if hasServer(dir) != "" {
		t.Error("accepted without initdb")
	}
	write("initdb", 0o644)
	if hasServer(dir) != "" {
		t.Error("accepted with an initdb that cannot be executed")
	}
	if err := os.Chmod(filepath.Join(dir, "initdb"), 0o755); err != nil {
		t.Fatal(err)
	}
	if hasServer(dir) != dir {
		t.Error("not accepted with both")
	}
}

func TestErrorSaysWhatToInstall(t *testing.T) {
	t.Setenv("PGBIN", t.TempDir())
	t.Setenv("AZUREPG_TEST_DOWNLOAD", "")
	_, err := findBinaries(t.Context())
	if err == nil || !strings.Contains(err.Error(), "apt install postgresql") || !strings.Contains(err.Error(), "AZUREPG_TEST_DOWNLOAD=1") {
		t.Errorf("got %v", err)
	}
}

func TestDownloadedPostgresRuns(t *testing.T) {
	if os.Getenv("AZUREPG_TEST_DOWNLOAD") != "1" {
		t.Skip("AZUREPG_TEST_DOWNLOAD is not 1")
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("there is no npm on this machine, and so no download")
	}
	bin, err := download(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, watchdog, err := temporaryDir()
	if err != nil {
		t.Fatal(err)
	}
	defer watchdog.dismiss(true)
	defer os.RemoveAll(dir)
	b, err := startBinaries(t.Context(), bin, dir, watchdog)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.process.stop(stopSignals); err != nil {
			t.Error(err)
		}
	}()
	conn, err := b.superuserConn(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var version string
	if err := conn.QueryRow(t.Context(), "show server_version").Scan(&version); err != nil || !strings.HasPrefix(npmVersion, version) {
		t.Errorf("got %s, %v; want that of %s", version, err, npmVersion)
	}
}

func TestDownloadWithAnotherHashIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "archive.tgz")
	if err := os.WriteFile(file, []byte("altered"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkHash(file, npmHashes["linux/amd64"].sha512); err == nil {
		t.Error("no error")
	}
}
