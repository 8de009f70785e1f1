package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// resources are what a process can lose.
type resources struct{ goroutines, files, sessions int }

const none = "0, 0, 0"

// inUse counts; files where the system lists them.
func inUse(azure *azurepgtest.Server) (resources, error) {
	azure.Entra.Transport().CloseIdleConnections()
	files, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return resources{runtime.NumGoroutine(), len(files), azure.Postgres.Connections()}, err
}

// awaitNoMore waits until nothing more is in use than before, and says how much is.
func awaitNoMore(azure *azurepgtest.Server, before resources) (left string, err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		now, err := inUse(azure)
		if err != nil {
			return "", err
		}
		left = fmt.Sprintf("%d, %d, %d", max(0, now.goroutines-before.goroutines), max(0, now.files-before.files), max(0, now.sessions-before.sessions))
		if left == none {
			break
		}
	}
	return left, nil
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
