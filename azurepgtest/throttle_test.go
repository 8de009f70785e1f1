package azurepgtest

import (
	"testing"
	"time"
)

func TestThrottleCountsWhatIsUnderWayAndTheLastSecond(t *testing.T) {
	now := time.Now()
	var all throttle
	few := throttle{atOnce: 2}
	for i, want := range []bool{true, true, false} {
		if !all.enter(now) {
			t.Error("without limits a request was refused")
		}
		if few.enter(now) != want {
			t.Errorf("two at once: request %d passes: %v; want %v", i, !want, want)
		}
	}
	if few.leave(); !few.enter(now) {
		t.Error("two at once: one has left, and none may follow")
	}
	rare := throttle{perSecond: 2}
	for i, want := range []bool{true, true, false} {
		if rare.enter(now.Add(time.Duration(i)*time.Millisecond)) != want {
			t.Errorf("two in a second: request %d passes: %v; want %v", i, !want, want)
		}
	}
	if !rare.enter(now.Add(time.Second)) || rare.enter(now.Add(time.Second)) {
		t.Error("two in a second: a second after the first one more may pass, not two")
	}
	if rare.refused != 2 {
		t.Errorf("%d refused; want 2", rare.refused)
	}
}
