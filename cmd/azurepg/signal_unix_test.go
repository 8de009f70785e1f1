//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// The context of the commands has not noticed the first one yet when the second comes.
func TestASecondSignalIsNotLostBesideTheFirst(t *testing.T) {
	now, stop := secondSignal(t.Context())
	defer stop()
	heard := make(chan os.Signal, 2)
	signal.Notify(heard, syscall.SIGTERM)
	defer signal.Stop(heard)
	for n := range 2 {
		if now.Err() != nil {
			t.Fatalf("%d signals end the drain; want two", n)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-heard // before that a second one would be the same to the kernel
	}
	select {
	case <-now.Done():
	case <-time.After(time.Minute):
		t.Error("the second signal does not end the drain")
	}
}
