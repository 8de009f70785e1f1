package azurepg_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// Who has waited for a token finds the line of its fetch written, and what comes of the
// token is logged after it: no line comes out of nowhere when a program or a test is over.
func TestFetchIsLoggedBeforeItsTokenIsUsed(t *testing.T) {
	for name, fault := range map[string]azurepgtest.Fault{"fetched": azurepgtest.Delay(time.Second), "failed": azurepgtest.Status(503, 0).After(time.Second)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cred := azurepgtest.NewCredential("")
				cred.Fault(fault)
				log := &slowHandler{}
				tokens := azurepg.NewTokenCache(cred, &azurepg.TokenCacheOptions{Logger: slog.New(log)})
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						_, _ = tokens.Token(t.Context())
						if n := log.lines.Load(); n != 1 {
							t.Errorf("Token has returned, and %d lines are written; want 1", n)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// slowHandler takes a second for each line.
type slowHandler struct {
	slog.Handler
	lines atomic.Int32
}

func (*slowHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *slowHandler) Handle(context.Context, slog.Record) error {
	time.Sleep(time.Second)
	h.lines.Add(1)
	return nil
}
