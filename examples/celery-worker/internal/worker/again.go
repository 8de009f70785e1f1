package worker

import (
	"context"
	"time"
)

const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// again calls f until it succeeds or ctx ends; then it returns f's last error. It calls
// failed for each failure before that.
func again(ctx context.Context, failed func(error), f func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := f()
		if err == nil || ctx.Err() != nil {
			return err
		}
		failed(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}
