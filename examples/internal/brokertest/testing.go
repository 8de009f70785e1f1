package brokertest

import (
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
)

// NoLeaks fails the test for each secret of azure in the texts.
func NoLeaks(tb testing.TB, azure *azurepgtest.Server, texts ...string) {
	tb.Helper()
	for _, text := range texts {
		for _, leak := range azure.Leaks(text) {
			tb.Errorf("the output holds %s", leak)
		}
	}
}
