package azurepgtest

import (
	"testing"
	"testing/synctest"
)

func TestGateShutTwiceOpensForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.set(true)
		passed := make(chan error)
		go func() { passed <- g.pass(nil) }()
		synctest.Wait() // it stands at the gate
		g.set(true)
		synctest.Wait()
		g.set(false)
		if err := <-passed; err != nil {
			t.Error(err)
		}
	})
}
